"""The report on a lookup table: accuracy against costs, as HTML and PNG."""

import html
import json
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resizable.search.drawing import SCORES, draw_front, new_figure
from keras_resizable.search.query import (
    AGREEMENT,
    LATENCY,
    devices_of,
    main_effects,
    pareto_front,
    score_of,
)
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing

if TYPE_CHECKING:
    import pandas

PICTURE = "pareto.png"
REPORT = "report.html"
# Readable columns: a label, and a factor for its unit.
_UNITS = {
    "flops": ("M FLOPs", 1e-6),
    "top1": ("top-1, %", 100),
    "top1_high": ("± %", 50),  # Half the interval from `top1_low`.
    "top1_raw": ("raw top-1, %", 100),
    "agreement": ("agreement, %", 100),
    "agreement_high": ("± %", 50),
    "agreement_raw": ("raw agreement, %", 100),
    "top5": ("top-5, %", 100),
    "loss": ("loss", 1),
    "params": ("M parameters", 1e-6),
    "size_bytes": ("MB", 1e-6),
    "difference_to_keras": ("top-1 minus Keras's, points", 100),
    "ties": ("ties, %", 100),
}
_OTHERS = ("top5", "loss", "params", "size_bytes")
_MEANING = (
    " Agreement is the share of images on which a sub-network gives the teacher's "
    "answer. It is not the accuracy: the teacher, too, is sometimes wrong."
)
_OPAQUE = 0.8
_BLUE, _RED, _GREY = "#1f77b4", "#d62728", "#808080"
# Readable on phones, and in the reader's light or dark scheme.
_TEMPLATE = """
{% block postamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  :root { color-scheme: light dark }
  body { background: Canvas; color: CanvasText; font-family: sans-serif; margin: 1em }
</style>
{% endblock %}
"""
_WRAPPED = {"flex-wrap": "wrap"}
_TABLE_STYLE = """
:host { color-scheme: light dark }
.slick-header-column, .slick-row, .slick-row.odd, .slick-cell {
  background: Canvas; color: CanvasText
}
.slick-cell.selected { background: Highlight; color: HighlightText }
"""
_FILES_STYLE = """
:host { max-width: 100%; overflow-x: auto }
th, td { padding: 2px 14px 2px 0; text-align: left }
"""


def write_report(
    table: "pandas.DataFrame",
    folder: str | os.PathLike,
    title: str,
    recipe: Mapping[str, Any] | None,
    files: "pandas.DataFrame | None",
) -> None:
    """See `Table.report`; `table` has its rows."""
    folder = pathlib.Path(folder)
    # Cost columns by their fields in the report. Field names are free of device names,
    # as Bokeh finds fields in templates by name.
    costs = {"flops": "flops"}
    for number, device in enumerate(devices_of(table)):
        costs[f"latency_{number}"] = LATENCY + device
    to_numeric = import_extra("pandas", "search").to_numeric
    score = score_of(table)
    scores = (score, f"{score}_low", f"{score}_high", f"{score}_raw")
    names = table.columns.intersection([*scores, *costs.values(), *_OTHERS])
    numbers = {name: to_numeric(table[name]) for name in names}  # Raises for text.
    table = table.assign(config=table["config"].astype(str), **numbers)
    with replacing(folder / PICTURE) as path:
        _draw(table, costs.values(), title, path)
    with replacing(folder / REPORT) as path:
        path.write_text(_page(table, costs, title, recipe, files), encoding="utf-8")


def _unit(name):
    """The label and the factor of a column."""
    if name.startswith(LATENCY):
        return f"ms on {name.removeprefix(LATENCY)}", 1
    return _UNITS.get(name, (name, 1))


def _draw(table, names, title, path):
    figure = new_figure(6 * len(names), 4.5)
    (panels,) = figure.subplots(1, len(names), sharey=True, squeeze=False)
    for axes, name in zip(panels, names):
        draw_front(axes, table, name, *_unit(name))
    panels[0].set_ylabel(SCORES[score_of(table)])
    panels[0].legend(loc="lower right")
    figure.suptitle(title, parse_math=False)
    figure.savefig(path, dpi=120)


def _page(table, costs, title, recipe, files):
    models = import_extra("bokeh.models", "search")
    layouts = import_extra("bokeh.layouts", "search")
    embed = import_extra("bokeh.embed", "search")
    resources = import_extra("bokeh.resources", "search")

    score = score_of(table)
    more = (f"{score}_high", f"{score}_raw", *_OTHERS)
    others = {name: name for name in more if name in table}
    columns = {"score": score, **costs, **others}  # By field.
    units = {field: _unit(name) for field, name in columns.items()}
    labels = {"config": "configuration"}
    labels |= {field: label for field, (label, _) in units.items()}
    shown = {"config": table["config"].array}
    for field, name in columns.items():
        lowest = table[f"{score}_low"] if name == f"{score}_high" else 0
        shown[field] = (units[field][1] * (table[name] - lowest)).array
    opacity = np.full(len(table), _OPAQUE)
    source = models.ColumnDataSource({**shown, "opacity": opacity})
    view = models.CDSView(filter=models.IndexFilter(list(range(len(table)))))
    limits, best = _limits(models, source, view, labels)
    text, number = models.StringFormatter(), models.NumberFormatter(format="0,0.00")
    formats = {field: number for field in labels} | {"config": text}
    titles = {field: html.escape(label) for field, label in labels.items()}
    plots = [
        _plot(table, source, labels, field, name, *units[field])
        for field, name in costs.items()
    ]
    if _are_scale_factors(table["config"]):
        source.data["stages"] = [_squares(config) for config in table["config"]]
        titles["stages"] = "size of maps"
        formats["stages"] = models.HTMLTemplateFormatter(template="<%= value %>")
        plots.append(_main_effects(table))
    widths = {"config": 130, "stages": 300}
    page = [
        _markup(models, f"<h1>{html.escape(title)}</h1>"),
        *([] if files is None else [_files(models, files)]),
        models.Div(
            text=f"{len(table)} sub-networks. Point at a dot for its configuration; "
            "click one to find it in the table. Lines are the Pareto fronts. "
            "Sub-networks beyond a limit are hidden."
            f"{_MEANING if score == AGREEMENT else ''}"
        ),
        layouts.row(*limits, styles=_WRAPPED),
        best,
        layouts.row(*plots, styles=_WRAPPED),
        models.DataTable(
            source=source,
            view=view,
            columns=[
                models.TableColumn(
                    field=field,
                    title=title,
                    width=widths.get(field, 85),
                    formatter=formats[field],
                )
                for field, title in titles.items()
            ],
            sizing_mode="stretch_width",
            autosize_mode="none",
            height=400,
            index_position=None,
            name="table",
            stylesheets=[_TABLE_STYLE],
        ),
    ]
    if recipe is not None:
        written = html.escape(json.dumps(recipe, indent=2))
        details = f"<summary>Recipe</summary><pre>{written}</pre>"
        page.append(_markup(models, f"<details>{details}</details>", name="recipe"))
    return embed.file_html(
        layouts.column(*page, sizing_mode="stretch_width"),
        resources=resources.INLINE,
        title=title,
        template=_TEMPLATE,
    )


def _are_scale_factors(configs):
    """Whether all texts are the same number of scale factors."""
    is_of_factors = configs.str.fullmatch(r"\d(\.\d+)?(,\d(\.\d+)?)*").all()
    return is_of_factors and configs.str.count(",").nunique() == 1


def _squares(config):
    """The sizes of a sub-network's maps relative to those at full size, as SVG."""
    side = 18
    sizes = np.cumprod([float(scale) for scale in config.split(",")]) * side
    squares = "".join(
        f'<rect x="{number * (side + 4)}" y="{side - size:.1f}" '
        f'width="{size:.1f}" height="{size:.1f}"/>'
        for number, size in enumerate(sizes)
    )
    return (
        f'<svg width="{len(sizes) * (side + 4)}" height="{side}" fill="{_BLUE}">'
        f"{squares}</svg>"
    )


def _files(models, files):
    """A table of files, in readable units."""
    shown = files.select_dtypes(exclude="number")
    for name, values in files.select_dtypes(include="number").items():
        label, factor = _unit(name)
        shown = shown.assign(**{label: (factor * values).map("{:.2f}".format)})
    written = shown.to_html(index=False, border=0, escape=True)
    text = f"<h2>Files, on held-out test images</h2>{written}"
    return _markup(models, text, name="files", stylesheets=[_FILES_STYLE])


def _markup(models, text, **options):
    """A part of the page, from HTML in which `$$` starts no formula."""
    return models.Div(text=text, disable_math=True, **options)


# Opacity rather than a filter on the dots, so that the axes stay as they are.
_APPLY_LIMITS = """
const data = source.data;
const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const inside = [];
for (let i = 0; i < data.score.length; i++) {
  let fits = true;
  for (const [name, box] of Object.entries(boxes)) {
    if (box.value === null) continue;
    const value = data[name][i];
    fits = fits && (name === "score" ? value >= box.value : value <= box.value);
  }
  data.opacity[i] = fits ? opaque : 0.05;
  if (fits) inside.push(i);
}
view.filter.indices = inside;
source.change.emit();
const accuracy = Array.from(data.score);
const cost = data.flops;
const given = Object.keys(boxes).filter((name) => boxes[name].value !== null);
const by = (values, others, i, j) =>
  values[j] < values[i] || (values[j] === values[i] && others[j] < others[i]);
const error = accuracy.map((value) => -value);
// As in `Table.best`: the cheapest if the only limit is accuracy.
const better = given.join() === "score"
  ? (i, j) => by(cost, error, i, j) : (i, j) => by(error, cost, i, j);
let chosen = null;
for (const i of inside) if (chosen === null || better(chosen, i)) chosen = i;
best.text = chosen === null ? "No sub-network is within the limits."
  : `Best of ${inside.length} within the limits: <b>${escape(data.config[chosen])}</b>
     with ${accuracy[chosen].toFixed(2)} % and ${cost[chosen].toFixed(1)} M FLOPs`;
"""


def _limits(models, source, view, labels):
    """Boxes for limits, and the line that names the best sub-network within them."""
    boxes = {
        field: models.NumericInput(
            title=f"{'At least' if field == 'score' else 'At most'} {label}",
            mode="float",
            value=None,
            width=140,
        )
        for field, label in labels.items()
        if field in ("score", "flops", "size_bytes") or field.startswith("latency_")
    }
    best = _markup(models, "", name="best")
    args = {"source": source, "view": view, "boxes": boxes, "best": best}
    apply = models.CustomJS(args={**args, "opaque": _OPAQUE}, code=_APPLY_LIMITS)
    for box in boxes.values():
        box.js_on_change("value", apply)
    return list(boxes.values()), best


def _plot(table, source, labels, field, name, label, factor):
    models = import_extra("bokeh.models", "search")
    front = pareto_front(table, name)
    tooltips = [
        (label_of, f"@{of}" if of == "config" else f"@{of}{{0,0.00}}")
        for of, label_of in labels.items()
    ]
    text = models.PlainText(text=label)
    plot = _empty_plot(text, SCORES[score_of(table)], f"plot_{field}")
    costs = (factor * front[name]).tolist()
    scores = (100 * front[score_of(front)]).tolist()
    plot.step(costs, scores, mode="after", color=_RED, line_width=2)
    dots = plot.scatter(
        field, "score", source=source, size=8, alpha="opacity", color=_BLUE
    )
    plot.add_tools(models.HoverTool(renderers=[dots], tooltips=tooltips))
    return plot


def _main_effects(table):
    """The effect of each stage's scale factor, as a mean over all other stages."""
    palette = import_extra("bokeh.palettes", "search").Category10[10]
    label = SCORES[score_of(table)]
    plot = _empty_plot("scale factor", f"{label}, mean over the others", "main_effects")
    for stage, means in enumerate(main_effects(table, score_of(table))):
        scales, scores = list(means), [100 * mean for mean in means.values()]
        line = {"color": palette[stage % 10], "legend_label": f"stage {stage + 1}"}
        plot.line(scales, scores, line_width=2, **line)
        plot.scatter(scales, scores, size=8, **line)
    plot.legend.location = "bottom_right"
    plot.legend.background_fill_alpha = 0.2
    plot.legend.label_text_color = _GREY
    return plot


def _empty_plot(x_label, y_label, name):
    plotting = import_extra("bokeh.plotting", "search")
    plot = plotting.figure(
        height=420,
        min_width=300,
        max_width=600,
        sizing_mode="stretch_width",
        styles={"flex": "1 1 340px"},  # Plots fill a row before the next.
        x_axis_label=x_label,
        y_axis_label=y_label,
        tools="pan,wheel_zoom,box_zoom,tap,reset,save",
        active_scroll=None,
        background_fill_color=None,
        border_fill_color=None,
        name=name,
    )
    plot.axis.axis_label_text_color = _GREY
    plot.axis.major_label_text_color = _GREY
    plot.grid.grid_line_alpha = 0.3
    return plot
