"""The lookup table as pictures: accuracy against what it costs."""

import html
import json
import pathlib

import numpy as np

from keras_resizable.extras import import_extra
from keras_resizable.files import replacing
from keras_resizable.search.query import devices, pareto_front
from keras_resizable.search.table import LATENCY

PICTURE = "pareto.png"
REPORT = "report.html"


def write_report(table, folder, title="Sub-networks", recipe=None):
    """Writes `pareto.png` and `report.html`.

    Every sub-network is a dot of accuracy against FLOPs, and against its latency on
    each device of the table; a line is the Pareto front. In `report.html`, which
    needs neither a network nor other files, pointing at a dot shows its
    configuration, limits can be set, and a table can be sorted.

    Args:
        table: A table of `build_table`.
        folder: The folder to write to.
        title: Title of both, such as the name of the network.
        recipe: What the network was trained by, as JSON has it.

    Raises:
        ImportError: If the extra `search` is not installed.
    """
    folder = pathlib.Path(folder)
    costs = _costs(table)
    with replacing(folder / PICTURE) as path:
        _draw(table, costs, title, path)
    with replacing(folder / REPORT) as path:
        path.write_text(_page(table, costs, title, recipe), encoding="utf-8")


def _costs(table):
    """Columns that cost: how they are called, and the unit that they are shown in."""
    costs = {"flops": ("M FLOPs", 1e6)}
    for device in devices(table):
        costs[LATENCY + device] = (f"ms on {device}", 1)
    return costs


def _draw(table, costs, title, path):
    figure = import_extra("matplotlib.figure", "search").Figure(
        figsize=(6 * len(costs), 4.5), layout="constrained"
    )
    panels = np.atleast_1d(figure.subplots(1, len(costs), sharey=True))
    for axes, (name, (label, unit)) in zip(panels, costs.items()):
        front = pareto_front(table, name)
        axes.plot(table[name] / unit, 100 * table["top1"], ".", alpha=0.6)
        axes.step(
            front[name] / unit,
            100 * front["top1"],
            "o-",
            where="post",
            label="Pareto front",
        )
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("top-1, %")
    panels[0].legend(loc="lower right")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def _page(table, costs, title, recipe):
    models = import_extra("bokeh.models", "search")
    layouts = import_extra("bokeh.layouts", "search")
    embed = import_extra("bokeh.embed", "search")
    resources = import_extra("bokeh.resources", "search")

    shown = _shown(table, costs)
    source = models.ColumnDataSource({name: shown[name].array for name in shown})
    view = models.CDSView(filter=models.IndexFilter(list(range(len(shown)))))
    limits, best = _limits(models, source, view, costs, shown)
    columns = [
        models.TableColumn(
            field=name,
            title=name,
            formatter=(
                models.StringFormatter()
                if name == "configuration"
                else models.NumberFormatter(format="0,0.00")
            ),
        )
        for name in shown.columns
        if name != "opacity"
    ]
    plots = [_plot(table, source, name, *cost) for name, cost in costs.items()]
    details = models.Div(
        text="<details><summary>Recipe</summary><pre>"
        f"{html.escape(json.dumps(recipe, indent=2))}</pre></details>",
        name="recipe",
    )
    page = layouts.column(
        models.Div(text=f"<h1>{html.escape(title)}</h1>"),
        models.Div(
            text=f"{len(table)} sub-networks. Point at a dot for its configuration; "
            "click one to find it in the table. Lines are the Pareto fronts. Limits "
            "hide what is beyond them."
        ),
        layouts.row(*limits),
        best,
        layouts.row(*plots),
        models.DataTable(
            source=source,
            view=view,
            columns=columns,
            width=620 * len(costs),
            height=400,
            index_position=None,
            name="table",
        ),
        *([] if recipe is None else [details]),
    )
    return embed.file_html(
        page,
        resources=resources.INLINE,
        title=title,
    )


def _shown(table, costs):
    """The columns of the table of a report, in the units of people."""
    pandas = import_extra("pandas", "search")
    shown = {"configuration": table["config"], "top-1, %": 100 * table["top1"]}
    others = {
        "± %": ("top1_high", 50),
        "raw top-1, %": ("top1_raw", 100),
        "top-5, %": ("top5", 100),
        "loss": ("loss", 1),
        "M parameters": ("params", 1e-6),
        "MB": ("size_bytes", 1e-6),
    }
    for name, (label, unit) in costs.items():
        shown[label] = table[name] / unit
    for label, (name, factor) in others.items():
        if name in table:
            shown[label] = factor * table[name]
    if "± %" in shown:
        shown["± %"] -= 50 * table["top1_low"]
    shown["opacity"] = np.full(len(table), _OPAQUE)
    return pandas.DataFrame(shown)


_OPAQUE = 0.8
# Opacity rather than a filter on the dots, so that the axes stay as they are.
_APPLY_LIMITS = """
const data = source.data;
const inside = [];
for (let i = 0; i < data["top-1, %"].length; i++) {
  let fits = true;
  for (const [name, box] of Object.entries(boxes)) {
    if (box.value === null) continue;
    const value = data[name][i];
    fits = fits && (name === "top-1, %" ? value >= box.value : value <= box.value);
  }
  data["opacity"][i] = fits ? opaque : 0.05;
  if (fits) inside.push(i);
}
view.filter.indices = inside;
source.change.emit();
const accuracy = Array.from(data["top-1, %"]);
const cost = data["M FLOPs"];
const given = Object.keys(boxes).filter((name) => boxes[name].value !== null);
const by = (values, others, i, j) =>
  values[j] < values[i] || (values[j] === values[i] && others[j] < others[i]);
const error = accuracy.map((value) => -value);
// As `search.best` has it: the cheapest if accuracy is all that is asked for.
const better = given.join() === "top-1, %"
  ? (i, j) => by(cost, error, i, j) : (i, j) => by(error, cost, i, j);
let chosen = null;
for (const i of inside) if (chosen === null || better(chosen, i)) chosen = i;
best.text = chosen === null ? "No sub-network is within the limits."
  : `Best of ${inside.length} within the limits: <b>${data["configuration"][chosen]}</b>
     with ${accuracy[chosen].toFixed(2)} % and ${cost[chosen].toFixed(1)} M FLOPs`;
"""


def _limits(models, source, view, costs, shown):
    """Boxes for limits, and the line that says what is best within them."""
    labels = ["top-1, %", *(label for label, _ in costs.values())]
    if "MB" in shown:
        labels.append("MB")
    boxes = {
        label: models.NumericInput(
            title=f"{'At least' if label == 'top-1, %' else 'At most'} {label}",
            mode="float",
            value=None,
            width=140,
        )
        for label in labels
    }
    best = models.Div(text="", name="best")
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


def _plot(table, source, name, label, unit):
    plotting = import_extra("bokeh.plotting", "search")
    front = pareto_front(table, name)
    tooltips = [
        (
            column,
            "@configuration"
            if column == "configuration"
            else f"@{{{column}}}{{0,0.00}}",
        )
        for column in source.column_names
        if column not in ("index", "opacity")
    ]
    plot = plotting.figure(
        width=600,
        height=420,
        x_axis_label=label,
        y_axis_label="top-1, %",
        tools="pan,wheel_zoom,box_zoom,tap,reset,save",
        active_scroll=None,
        name=f"plot_{name}",
    )
    plot.step(
        (front[name] / unit).tolist(),
        (100 * front["top1"]).tolist(),
        mode="after",
        color="#d62728",
        line_width=2,
    )
    dots = plot.scatter(
        label, "top-1, %", source=source, size=8, alpha="opacity", color="#1f77b4"
    )
    plot.add_tools(
        import_extra("bokeh.models", "search").HoverTool(
            renderers=[dots], tooltips=tooltips
        )
    )
    return plot
