import json
import shutil

import numpy as np
import pandas
import pytest
from playwright.sync_api import sync_playwright

from keras_resizable import SpatialSpace
from keras_resizable.search import Table, report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(0)
    space = SpatialSpace((1.0, 0.75, 0.5), 3)
    configs = list(space.configs())
    areas = np.array([np.sum(np.cumprod(config) ** 2) for config in configs])
    top1 = 0.8 + 0.02 * areas + generator.normal(0, 0.01, len(configs))
    return pandas.DataFrame(
        {
            "config": map(str, configs),
            "flops": (1e7 * areas).astype(int),
            "params": 270_000,
            "top1": top1,
            "top1_low": top1 - 0.01,
            "top1_high": top1 + 0.01,
            "latency_ms_host": areas / 5,
        }
    )


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    recipe = {"network": "ResNet20", "note": "</script><b>"}
    files = pandas.DataFrame(
        {
            "file": ["a_int8.tflite", "bundle_int8.tflite"],
            "signature": ["", "scale_1.0"],
            "size_bytes": [1_234_000, 2_000_000],
            "latency_ms_host": [0.5, 0.25],
            "top1": [0.9125, 0.5],
        }
    )
    Table(table).report(folder, "A <network>", recipe, files=files)
    return folder


def test_picture_is_written(folder):
    assert (folder / "pareto.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


def open_report(browser, folder):
    """The report in a browser, and in `trouble` what it asks for or cannot do."""
    page = browser.new_page(viewport={"width": 1300, "height": 1200})
    page.trouble = []
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.on("request", lambda request: page.trouble.append(request.url))
    page.goto((folder / "report.html").as_uri())
    page.wait_for_selector(".slick-row")
    return page


@pytest.fixture(scope="module")
def page(browser, folder):
    return open_report(browser, folder)


needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed"
)


@needs_chromium
def test_report_needs_no_other_file(page, folder):
    assert page.trouble == [(folder / "report.html").as_uri()]
    assert page.get_by_role("heading", level=1).inner_text() == "A <network>"
    assert page.locator(".bk-Figure").count() == 3  # FLOPs, latency, main effects.


@pytest.mark.parametrize("other", ["1.0.5", ".", "1.0", "0.5,0.5,", "best"])
def test_what_is_no_configuration_of_as_many_stages_is_not_drawn(table, other):
    assert report._are_scale_factors(table["config"])
    configs = table["config"].where(table.index > 0, other)
    assert not report._are_scale_factors(configs)


@needs_chromium
def test_sub_networks_are_drawn(page):
    squares = page.locator(".slick-row svg").first.locator("rect")
    widths = [float(square.get_attribute("width")) for square in squares.all()]
    assert len(widths) == 3 and widths == sorted(widths, reverse=True)


@needs_chromium
def test_a_phone_can_show_it(browser, folder):
    page = open_report(browser, folder)
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(18, 18, 18)"
    )


@needs_chromium
def test_table_can_be_sorted(page, table):
    def column(number):
        cells = page.locator(f".slick-row .slick-cell.l{number}")
        return cells.all_inner_texts()

    page.locator(".slick-header-column", has_text="M FLOPs").click()
    flops = [float(cell) for cell in column(2)]
    assert flops == sorted(flops) and len(set(flops)) > 5
    assert flops[0] == pytest.approx(table.flops.min() / 1e6, abs=0.01)
    page.locator(".slick-header-column", has_text="M FLOPs").click()
    assert float(column(2)[0]) == pytest.approx(table.flops.max() / 1e6, abs=0.01)


@needs_chromium
def test_limits_leave_what_fits(page, table):
    limit = 15.0
    box = page.get_by_label("At most M FLOPs")
    box.fill(str(limit))
    box.press("Enter")
    chosen = Table(table).best(max_flops=1e6 * limit)
    within = (table.flops <= 1e6 * limit).sum()
    answer = page.get_by_text(f"Best of {within} within the limits")
    assert chosen["config"] in answer.inner_text()
    assert f"{100 * chosen['top1']:.2f} %" in answer.inner_text()
    configs = page.locator(".slick-row .slick-cell.l0").all_inner_texts()
    assert len(configs) > 5
    assert set(configs) <= set(table.config[table.flops <= 1e6 * limit])
    box = page.get_by_label("At least top-1, %")
    box.fill("99")
    box.press("Enter")
    assert page.get_by_text("No sub-network is within the limits").is_visible()
    page.get_by_label("At most M FLOPs").fill("")
    page.get_by_label("At most M FLOPs").press("Enter")
    box.fill("83")
    box.press("Enter")
    cheapest = Table(table).best(min_top1=0.83)
    assert page.get_by_text(f"limits: {cheapest['config']} with").is_visible()
    box.fill("")
    box.press("Enter")
    assert page.get_by_text(f"Best of {len(table)}").is_visible()


@needs_chromium
def test_pointing_at_a_dot_shows_its_configuration(page, table):
    row = Table(table).front().iloc[1]
    point_at(page, row["flops"] / 1e6, 100 * row["top1"])
    accuracy = f"{100 * row['top1']:.2f}"
    shown = page.locator(".bk-Tooltip", has_text=row["config"])
    shown.filter(has_text=accuracy).first.wait_for(timeout=5000)


def point_at(page, *place):
    """Moves the mouse to FLOPs and accuracy."""
    x, y = page.evaluate(
        """([x, y]) => {
          const plot = Bokeh.documents[0].get_model_by_name("plot_flops");
          const view = Bokeh.index.find_one(plot);
          view.canvas.el.scrollIntoView();
          const box = view.canvas.el.getBoundingClientRect();
          return [box.x + view.frame.x_scale.compute(x),
                  box.y + view.frame.y_scale.compute(y)];
        }""",
        place,
    )
    page.mouse.move(x, y)


@needs_chromium
def test_files_are_a_table_in_units_of_people(page):
    rows = [row.all_inner_texts() for row in rows_of(page)]
    assert rows[0] == ["file", "signature", "MB", "ms on host", "top-1, %"]
    assert rows[1] == ["a_int8.tflite", "", "1.23", "0.50", "91.25"]
    assert rows[2] == ["bundle_int8.tflite", "scale_1.0", "2.00", "0.25", "50.00"]


def rows_of(page):
    return [row.locator("th, td") for row in page.locator("table.dataframe tr").all()]


@needs_chromium
def test_recipe_is_there_as_text(page):
    page.locator("summary").click()
    assert "</script><b>" in page.locator("pre").inner_text()


# What a browser, Bokeh, MathJax or Matplotlib could take for more than text.
HOSTILE = [
    '<img src=x onerror="window.hacked=1">',
    "</script><script>window.hacked=1</script>",
    '"><svg onload="window.hacked=1">',
    "';window.hacked=1;//`${window.hacked=1}`",
    "$$\\text{x}$$",
    "$\\frac$",
    "@{opacity} @config{safe} $index",
    "&lt;b&gt; {{ 7 * 7 }} %s {0}",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A report with such text wherever text comes from, and its table."""
    everything = " ".join(HOSTILE)
    costs = np.arange(1, 3 * len(HOSTILE) + 1)
    table = pandas.DataFrame(
        {
            "config": [f"{text}{turn}" for turn in range(3) for text in HOSTILE],
            "flops": 1_000_000 * costs,
            "top1": 0.5 + 0.01 * costs,
        }
        | {f"latency_ms_{text}": costs / 5 for text in HOSTILE}
        | {f"measured_{text}": text for text in HOSTILE}
    )
    recipe = {"recipe": dict(zip(HOSTILE, HOSTILE)), "config": HOSTILE}
    folder = tmp_path_factory.mktemp("hostile")
    files = pandas.DataFrame({"file": HOSTILE, **dict.fromkeys(HOSTILE, HOSTILE)})
    Table(table).report(folder, everything, recipe, files=files)
    return folder, table, everything


@needs_chromium
def test_nothing_is_more_than_text(browser, hostile):
    folder, table, everything = hostile
    page = open_report(browser, folder)
    assert page.title() == everything
    assert page.get_by_role("heading", level=1).inner_text() == everything
    cells = [row.all_text_contents() for row in rows_of(page)]
    assert cells == [["file", *HOSTILE], *([text] * 9 for text in HOSTILE)]
    titles = page.locator(".slick-column-name").all_text_contents()
    assert [f"ms on {text}" for text in HOSTILE] == titles[3:]
    cells = page.locator(".slick-row .slick-cell.l0").all_text_contents()
    assert len(cells) > 5 and cells == table["config"][: len(cells)].tolist()
    page.locator(".slick-row .slick-cell.l0").nth(1).click()
    page.locator("summary").click()
    recipe = json.loads(page.locator("pre").text_content())
    assert recipe == {"recipe": dict(zip(HOSTILE, HOSTILE)), "config": HOSTILE}
    flops = page.get_by_label("At most M FLOPs")
    for number, (text, config) in enumerate(zip(HOSTILE, table["config"]), 1):
        assert page.get_by_label(f"At most ms on {text}", exact=True).is_visible()
        point_at(page, number, 50 + number)
        shown = page.locator(".bk-Tooltip", has_text=config).first
        shown.wait_for(timeout=5000)
        labels = shown.locator(".bk-tooltip-row-label").all_text_contents()
        assert f"ms on {text}: " in labels
        flops.fill(str(number))
        flops.press("Enter")
        best = page.get_by_text(f"Best of {number} within the limits:")
        assert config in best.text_content()
    # Labels of axes are drawn: what draws them has the text, and takes it for text.
    drawn = page.evaluate(
        """() => Bokeh.documents[0].roots()[0].children
             .flatMap((part) => part.children ?? [])
             .flatMap((plot) => plot.below ?? [])
             .map((axis) => [axis.axis_label.type, axis.axis_label.text])"""
    )
    assert drawn == [
        ["PlainText", text]
        for text in ("M FLOPs", *(f"ms on {text}" for text in HOSTILE))
    ]
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("window.MathJax") is None
    assert page.trouble == [(folder / "report.html").as_uri()]


def test_text_among_the_numbers_is_refused(table, tmp_path):
    for name in ("top1", "flops", "params", "latency_ms_host"):
        wrong = table.assign(**{name: table[name].astype(object)})
        wrong.loc[3, name] = HOSTILE[0]
        with pytest.raises(ValueError, match="string .<img .*at position 3"):
            Table(wrong).report(tmp_path)
    assert not list(tmp_path.iterdir())
    # Numbers by another type are as good, and some may be missing.
    texts = table.assign(latency_ms_host=table["latency_ms_host"].astype(str))
    texts.loc[3, "latency_ms_host"] = None
    Table(texts).report(tmp_path)
