import shutil

import numpy as np
import pandas
import pytest
from playwright.sync_api import sync_playwright

from keras_resizable import SpatialSpace
from keras_resizable.search import best, pareto_front, write_report

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
            "config": map(space.format, configs),
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
    write_report(table, folder, "A <network>", recipe)
    return folder


def test_picture_is_written(folder):
    assert (folder / "pareto.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def page(folder):
    """The report in a browser that can reach nothing else."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1300, "height": 1200})
        page.trouble = []
        page.on("pageerror", lambda error: page.trouble.append(str(error)))
        page.on("request", lambda request: page.trouble.append(request.url))
        page.goto((folder / "report.html").as_uri())
        page.wait_for_selector(".slick-row")
        yield page
        browser.close()


needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed"
)


@needs_chromium
def test_report_needs_no_other_file(page, folder):
    assert page.trouble == [(folder / "report.html").as_uri()]
    assert page.get_by_role("heading").inner_text() == "A <network>"
    assert page.locator(".bk-Figure").count() == 2


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
    chosen = best(table, max_flops=1e6 * limit)
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
    cheapest = best(table, min_top1=0.83)
    assert page.get_by_text(f"limits: {cheapest['config']} with").is_visible()
    box.fill("")
    box.press("Enter")
    assert page.get_by_text(f"Best of {len(table)}").is_visible()


@needs_chromium
def test_pointing_at_a_dot_shows_its_configuration(page, table):
    row = pareto_front(table).iloc[1]
    x, y = page.evaluate(
        """([x, y]) => {
          const plot = Bokeh.documents[0].get_model_by_name("plot_flops");
          const view = Bokeh.index.find_one(plot);
          const box = view.canvas.el.getBoundingClientRect();
          return [box.x + view.frame.x_scale.compute(x),
                  box.y + view.frame.y_scale.compute(y)];
        }""",
        [row["flops"] / 1e6, 100 * row["top1"]],
    )
    page.mouse.move(x, y)
    accuracy = f"{100 * row['top1']:.2f}"
    shown = page.locator(".bk-Tooltip", has_text=row["config"])
    shown.filter(has_text=accuracy).first.wait_for(timeout=5000)


@needs_chromium
def test_recipe_is_there_as_text(page):
    page.locator("summary").click()
    assert "</script><b>" in page.locator("pre").inner_text()
