"""The lookup table as pictures: accuracy against what it costs."""

import html
import json
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resizable.search.query import devices_of, main_effects, pareto_front
from keras_resizable.search.table import LATENCY
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing

if TYPE_CHECKING:
    import pandas

PICTURE = "pareto.png"
REPORT = "report.html"


def write_report(
    table: "pandas.DataFrame",
    folder: str | os.PathLike,
    title: str = "Sub-networks",
    recipe: Mapping[str, Any] | None = None,
    *,
    files: "pandas.DataFrame | None" = None,
) -> None:
    """Writes `pareto.png` and `report.html`.

    Every sub-network is a dot of accuracy against FLOPs, and against its latency on
    each device of the table; a line is the Pareto front. In `report.html`, which
    needs neither a network nor other files, pointing at a dot shows its
    configuration, limits can be set, and a table can be sorted. All names are shown
    literally, never as markup or a formula.

    Args:
        table: A table of `build_table`.
        folder: The folder to write to.
        title: Title of both, such as the name of the network.
        recipe: The recipe that the network was trained by, as JSON.
        files: A table of files to show, a row for each, such as that of
            `photos.to_phone`.

    Raises:
        ValueError: If a numeric column holds anything but numbers.
        ImportError: If the extra `search` is not installed.
    """
    folder = pathlib.Path(folder)
    costs = _costs(table)
    table = _with_numbers(table, costs)
    with replacing(folder / PICTURE) as path:
        _draw(table, costs, title, path)
    with replacing(folder / REPORT) as path:
        path.write_text(_page(table, costs, title, recipe, files), encoding="utf-8")


def _costs(table):
    """Columns that cost: their field in the report, their label, and its unit.

    Names of devices are in no field's name, as Bokeh reads these out of templates.
    """
    costs = {"flops": ("flops", "M FLOPs", 1e6)}
    for number, device in enumerate(devices_of(table)):
        costs[LATENCY + device] = (f"latency_{number}", f"ms on {device}", 1)
    return costs


_OTHERS = {
    "top1_high": ("± %", 50),
    "top1_raw": ("raw top-1, %", 100),
    "top5": ("top-5, %", 100),
    "loss": ("loss", 1),
    "params": ("M parameters", 1e-6),
    "size_bytes": ("MB", 1e-6),
}


_OF_FILES = {
    "size_bytes": ("MB", 1e-6),
    "top1": ("top-1, %", 100),
    "flops": ("M FLOPs", 1e-6),
    "difference_to_keras": ("top-1 minus Keras's, points", 100),
    "agreement": ("same answers, %", 100),
    "ties": ("ties, %", 100),
}


def _with_numbers(table, costs):
    """The table, with numbers in all columns that are drawn or shown as such."""
    to_numeric = import_extra("pandas", "search").to_numeric
    numbers = {}
    for name in ("top1", "top1_low", *costs, *_OTHERS):
        if name in table:
            numbers[name] = to_numeric(table[name], errors="coerce")
            wrong = table[name][numbers[name].isna() & table[name].notna()]
            if not wrong.empty:
                raise ValueError(
                    f"{name!r} of the table is {wrong.iloc[0]!r}, not a number."
                )
    return table.assign(config=table["config"].astype(str), **numbers)


def _draw(table, costs, title, path):
    figure = import_extra("matplotlib.figure", "search").Figure(
        figsize=(6 * len(costs), 4.5), layout="constrained"
    )
    panels = np.atleast_1d(figure.subplots(1, len(costs), sharey=True))
    for axes, (name, (_, label, unit)) in zip(panels, costs.items()):
        front = pareto_front(table, name)
        axes.plot(table[name] / unit, 100 * table["top1"], ".", alpha=0.6)
        axes.step(
            front[name] / unit,
            100 * front["top1"],
            "o-",
            where="post",
            label="Pareto front",
        )
        axes.set_xlabel(label, parse_math=False)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("top-1, %")
    panels[0].legend(loc="lower right")
    figure.suptitle(title, parse_math=False)
    figure.savefig(path, dpi=120)


def _page(table, costs, title, recipe, files):
    models = import_extra("bokeh.models", "search")
    layouts = import_extra("bokeh.layouts", "search")
    embed = import_extra("bokeh.embed", "search")
    resources = import_extra("bokeh.resources", "search")

    shown = _shown(table, costs)
    labels = {field: label for field, (label, _) in shown.items()}
    source = models.ColumnDataSource(
        {field: values.array for field, (_, values) in shown.items()}
        | {"opacity": np.full(len(table), _OPAQUE)}
    )
    view = models.CDSView(filter=models.IndexFilter(list(range(len(table)))))
    limits, best = _limits(models, source, view, labels)
    columns = [
        models.TableColumn(
            field=field,
            title=html.escape(label),
            width=130 if field == "config" else 85,
            formatter=(
                models.StringFormatter()
                if field == "config"
                else models.NumberFormatter(format="0,0.00")
            ),
        )
        for field, label in labels.items()
    ]
    plots = [_plot(table, source, labels, name, *costs[name]) for name in costs]
    if _are_scale_factors(table["config"]):
        source.data["stages"] = [_squares(config) for config in table["config"]]
        drawn = models.HTMLTemplateFormatter(template="<%= value %>")
        columns.append(
            models.TableColumn(field="stages", title="size of maps", formatter=drawn)
        )
        plots.append(_main_effects(table))
    details = _markup(
        models,
        "<details><summary>Recipe</summary><pre>"
        f"{html.escape(json.dumps(recipe, indent=2))}</pre></details>",
        name="recipe",
    )
    page = layouts.column(
        _markup(models, f"<h1>{html.escape(title)}</h1>"),
        *([] if files is None else [_files(models, files)]),
        models.Div(
            text=f"{len(table)} sub-networks. Point at a dot for its configuration; "
            "click one to find it in the table. Lines are the Pareto fronts. What is "
            "beyond a limit is hidden."
        ),
        layouts.row(*limits, styles=_WRAPPED),
        best,
        layouts.row(*plots, styles=_WRAPPED),
        models.DataTable(
            source=source,
            view=view,
            columns=columns,
            sizing_mode="stretch_width",
            autosize_mode="none",
            height=400,
            index_position=None,
            name="table",
            stylesheets=[_TABLE_STYLE],
        ),
        *([] if recipe is None else [details]),
        sizing_mode="stretch_width",
    )
    return embed.file_html(
        page, resources=resources.INLINE, title=title, template=_TEMPLATE
    )


# For phones too, and as light or dark as the reader's other pages.
_TEMPLATE = """
{% block postamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  :root { color-scheme: light dark }
  body { background: Canvas; color: CanvasText; font-family: sans-serif; margin: 1em }
</style>
{% endblock %}
"""
_SCALE_FACTORS = r"\d(\.\d+)?(,\d(\.\d+)?)*"
_WRAPPED = {"flex-wrap": "wrap"}
_TABLE_STYLE = """
:host { color-scheme: light dark }
.slick-header-column, .slick-row, .slick-row.odd, .slick-cell {
  background: Canvas; color: CanvasText
}
.slick-cell.selected { background: Highlight; color: HighlightText }
"""


def _are_scale_factors(configs):
    """Whether all are of as many scale factors, and no other text."""
    is_of_factors = configs.str.fullmatch(_SCALE_FACTORS).all()
    return is_of_factors and configs.str.count(",").nunique() == 1


def _squares(config):
    """The sizes of the maps of a sub-network over those at full size, as SVG."""
    side = 18
    sizes = np.cumprod([float(scale) for scale in str(config).split(",")]) * side
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
    """A table of files, in the units of people."""
    shown = files.select_dtypes(exclude="number")
    for name, values in files.select_dtypes(include="number").items():
        label, factor = _OF_FILES.get(name, (name, 1))
        if name.startswith(LATENCY):
            label = f"ms on {name.removeprefix(LATENCY)}"
        shown = shown.assign(**{label: (factor * values).map("{:.2f}".format)})
    written = shown.to_html(index=False, border=0, escape=True)
    style = """
:host { max-width: 100%; overflow-x: auto }
th, td { padding: 2px 14px 2px 0; text-align: left }
"""
    return _markup(
        models,
        f"<h2>Files, on images that nothing was chosen with</h2>{written}",
        name="files",
        stylesheets=[style],
    )


def _markup(models, text, **options):
    """A part of the page; what is not HTML in it is escaped, and none is TeX."""
    return models.Div(text=text, disable_math=True, **options)


def _shown(table, costs):
    """The columns of a report by field: labels, and values in the units of people."""
    shown = {
        "config": ("configuration", table["config"]),
        "top1": ("top-1, %", 100 * table["top1"]),
    }
    for name, (field, label, unit) in costs.items():
        shown[field] = (label, table[name] / unit)
    for name, (label, factor) in _OTHERS.items():
        if name in table:
            lowest = table["top1_low"] if name == "top1_high" else 0
            shown[name] = (label, factor * (table[name] - lowest))
    return shown


_OPAQUE = 0.8
_BLUE, _RED, _GREY = "#1f77b4", "#d62728", "#808080"
# Opacity rather than a filter on the dots, so that the axes stay as they are.
_APPLY_LIMITS = """
const data = source.data;
const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const inside = [];
for (let i = 0; i < data.top1.length; i++) {
  let fits = true;
  for (const [name, box] of Object.entries(boxes)) {
    if (box.value === null) continue;
    const value = data[name][i];
    fits = fits && (name === "top1" ? value >= box.value : value <= box.value);
  }
  data.opacity[i] = fits ? opaque : 0.05;
  if (fits) inside.push(i);
}
view.filter.indices = inside;
source.change.emit();
const accuracy = Array.from(data.top1);
const cost = data.flops;
const given = Object.keys(boxes).filter((name) => boxes[name].value !== null);
const by = (values, others, i, j) =>
  values[j] < values[i] || (values[j] === values[i] && others[j] < others[i]);
const error = accuracy.map((value) => -value);
// As `search.best` has it: the cheapest if accuracy is all that is asked for.
const better = given.join() === "top1"
  ? (i, j) => by(cost, error, i, j) : (i, j) => by(error, cost, i, j);
let chosen = null;
for (const i of inside) if (chosen === null || better(chosen, i)) chosen = i;
best.text = chosen === null ? "No sub-network is within the limits."
  : `Best of ${inside.length} within the limits: <b>${escape(data.config[chosen])}</b>
     with ${accuracy[chosen].toFixed(2)} % and ${cost[chosen].toFixed(1)} M FLOPs`;
"""


def _limits(models, source, view, labels):
    """Boxes for limits, and the line that says what is best within them."""
    boxes = {
        field: models.NumericInput(
            title=f"{'At least' if field == 'top1' else 'At most'} {label}",
            mode="float",
            value=None,
            width=140,
        )
        for field, label in labels.items()
        if field in ("top1", "flops", "size_bytes") or field.startswith("latency_")
    }
    best = _markup(models, "", name="best")
    apply = models.CustomJS(
        args={
            "source": source,
            "view": view,
            "boxes": boxes,
            "best": best,
            "opaque": _OPAQUE,
        },
        code=_APPLY_LIMITS,
    )
    for box in boxes.values():
        box.js_on_change("value", apply)
    return list(boxes.values()), best


def _plot(table, source, labels, name, field, label, unit):
    models = import_extra("bokeh.models", "search")
    front = pareto_front(table, name)
    tooltips = [
        (label_of, f"@{of}" if of == "config" else f"@{of}{{0,0.00}}")
        for of, label_of in labels.items()
    ]
    plot = _empty_plot(models.PlainText(text=label), name=f"plot_{field}")
    plot.step(
        (front[name] / unit).tolist(),
        (100 * front["top1"]).tolist(),
        mode="after",
        color=_RED,
        line_width=2,
    )
    dots = plot.scatter(
        field, "top1", source=source, size=8, alpha="opacity", color=_BLUE
    )
    plot.add_tools(models.HoverTool(renderers=[dots], tooltips=tooltips))
    return plot


def _main_effects(table):
    """What the scale factor of each stage brings, on the mean over all others."""
    palette = import_extra("bokeh.palettes", "search").Category10[10]
    plot = _empty_plot("scale factor", name="main_effects")
    plot.yaxis.axis_label = "top-1, %, mean over the others"
    for stage, means in enumerate(main_effects(table, "top1")):
        scales = sorted(means)
        line = {"color": palette[stage % 10], "legend_label": f"stage {stage + 1}"}
        top1 = [100 * means[scale] for scale in scales]
        plot.line(scales, top1, line_width=2, **line)
        plot.scatter(scales, top1, size=8, **line)
    plot.legend.location = "bottom_right"
    plot.legend.background_fill_alpha = 0.2
    plot.legend.label_text_color = _GREY
    return plot


def _empty_plot(x_label, name):
    plotting = import_extra("bokeh.plotting", "search")
    plot = plotting.figure(
        height=420,
        min_width=300,
        max_width=600,
        sizing_mode="stretch_width",
        styles={"flex": "1 1 340px"},  # As many beside each other as have room.
        x_axis_label=x_label,
        y_axis_label="top-1, %",
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
