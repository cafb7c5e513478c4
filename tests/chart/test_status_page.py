"""The status page in a real browser: it is live, says all in words too, and needs nothing from outside."""

import re
import sys
import time
import unittest
import urllib.parse
import urllib.request

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from scene import PATIENCE, Scene, with_scheme
from test_live import CALLS, QUOTES
from tools import binary, program

PHONE = {"width": 320, "height": 640}
DESK = {"width": 1280, "height": 900}
# Everything that is asked of the gateway's own page.
ASSETS = {"/", "/status.css", "/status.js", "/status"}


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scene = cls.enterClassContext(Scene())
        cls.scene = scene
        cls.validators, fault = scene.sandbox(3, "--jupiter", "self-hosted,hosted")
        cls.fault = staticmethod(fault)
        upstreams = [{"id": f"v{n}", "url": url, "tier": "local"} for n, url in enumerate(cls.validators)]
        upstreams[2] |= {"budget": {"requests": 2000, "per": "second", "burst": 2000}}
        jupiters = [{"id": name, "kind": name, "url": url, "tier": "local"}
                    for name, url in zip(("self-hosted", "hosted"), scene.jupiters)]
        _, address = scene.gateway("page", upstreams, jupiter={"upstreams": jupiters},
                                   cache={"redis": {"url": f"redis://127.0.0.1:{scene.redis()}"}})
        cls.admin = address["admin"]
        scene.load(address["rpc"], CALLS + QUOTES)
        scene.subscribe(address["rpc"], ["slotSubscribe"])
        cls.play = cls.enterClassContext(sync_playwright())
        cls.browser = cls.play.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        cls.addClassCleanup(cls.browser.close)
        expect.set_options(timeout=PATIENCE * 1000)

    def page(self, viewport=DESK, complains=False, at=None, **options):
        """The page, of the gateway at some address, opened; what the browser complains about fails the test at its end, unless it has to."""
        context = self.browser.new_context(viewport=viewport, **options)
        self.addCleanup(context.close)
        page, complaints, self.asked = context.new_page(), [], []
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        self.addCleanup(lambda: self.assertEqual(bool(complaints), complains, complaints))
        page.goto(at or self.admin)
        expect(page.locator("#upstreams .card")).to_have_count(3)
        return page

    def card(self, page, name):
        return page.locator("#upstreams .card", has_text=name)

    def test_numbers_change_while_it_is_looked_at(self):
        page = self.page()
        for place, what in (("#facts", "the tip"), (".card figcaption", "the latency"), ("#classes", "calls by class"),
                            ("#cache-hits", "hits"), ("#sockets", "the slot of a subscription")):
            with self.subTest(what):
                before = page.locator(place).first.text_content()
                expect(page.locator(place).first).not_to_have_text(before)
        expect(page.locator("#verdict")).to_contain_text("ready, 3 of 3 upstreams healthy")
        for place, says in (("#ws-subscriptions", "1"), ("#ws-shared", "1"), ("#shared", "breaker closed"),
                            ("#classes tr[data-key=critical]", "critical"), ("#jupiter .card >> nth=0", "fit"),
                            ("#upstreams .card[data-key=v2]", "of 2,000 at once")):
            with self.subTest(place):
                expect(page.locator(place)).to_contain_text(says)

    def test_a_latency_has_a_line_that_grows_and_is_told_in_words(self):
        page = self.page()
        line = self.card(page, "v0").locator("path")
        drawn = line.get_attribute("d")
        page.wait_for_function("([path, was]) => path.getAttribute('d').length > was.length + 30",
                               arg=[line.element_handle(), drawn or ""])
        name = self.card(page, "v0").locator("svg").get_attribute("aria-label")
        self.assertRegex(name, r"latency of v0: between .* ms and .* ms in the last \d+ s")

    def test_nothing_is_loaded_from_outside(self):
        page = self.page()
        page.wait_for_function("() => performance.getEntriesByName(new URL('status', location).href).length > 1")
        urls = [urllib.parse.urlparse(url) for url in self.asked if not url.startswith("data:")]
        self.assertEqual({url.netloc for url in urls}, {urllib.parse.urlparse(self.admin).netloc})
        self.assertEqual({url.path for url in urls}, ASSETS)

    def test_an_upstream_that_dies_turns_red_and_one_that_is_back_green(self):
        page = self.page()
        card = self.card(page, "v1")
        colours = "card => [getComputedStyle(card).borderLeftColor, getComputedStyle(card.querySelector('.state')).color]"
        expect(card.locator(".mark")).to_have_text("✓")
        green = card.evaluate(colours)
        self.fault(1, kind="down")
        self.addCleanup(self.fault, 1)
        expect(card.locator(".state")).to_contain_text("failing")
        expect(card.locator(".mark")).to_have_text("✕")
        red = card.evaluate(colours)
        for before, after in zip(green, red):
            self.assertTrue(is_green(before), before)
            self.assertTrue(is_red(after), after)
        expect(page.locator("#verdict")).to_contain_text("ready, 2 of 3 upstreams healthy")
        expect(card).to_contain_text("connect")
        self.fault(1)
        expect(card.locator(".mark")).to_have_text("✓")
        self.assertEqual(card.evaluate(colours), green)

    def test_a_process_that_is_killed_turns_red_within_seconds(self):
        """Three nodes that are processes of their own; docs/operations/failing-upstreams.md says what was measured."""
        words = [binary("SANDBOX"), "--print-json", "--base-port", "0", "--control", "127.0.0.1:0", "--validators", 1]
        nodes = [self.scene.start(f"node{n}", *words, announces=True) for n in range(3)]
        _, address = self.scene.gateway("killed", [{"id": f"n{n}", "url": with_scheme(said["validators"][0]), "tier": "local"}
                                                   for n, (_, said) in enumerate(nodes)])
        self.scene.load(address["rpc"], CALLS)
        page = self.page(at=address["admin"])
        card = self.card(page, "n1")
        expect(page.locator("#verdict")).to_contain_text("ready, 3 of 3 upstreams healthy")
        killed = time.monotonic()
        nodes[1][0].kill()
        expect(card.locator(".mark")).to_have_text("✕")
        took = time.monotonic() - killed
        sys.stderr.write(f"\na killed upstream was red after {took:.2f} s\n")
        self.assertTrue(is_red(card.evaluate("card => getComputedStyle(card).borderLeftColor")))
        self.assertLess(took, 20, "on a machine that has other things to do")

    def test_a_budget_that_drains_says_when_it_ends(self):
        upstreams = [{"id": name, "url": url, "tier": tier, **more} for name, url, tier, more in (
            ("metered", self.validators[0], "local", {"budget": {"requests": 60, "per": "hour", "burst": 400}}),
            ("spare", self.validators[1], "public", {}), ("other", self.validators[2], "public", {}))]
        _, address = self.scene.gateway("drained", upstreams, cache={"enabled": False})
        page = self.page(at=address["admin"])
        card, budget = self.card(page, "metered"), self.card(page, "metered").locator("[data-is=budget-text]")
        expect(budget).to_contain_text("of 400 at once")
        self.scene.load(address["rpc"], CALLS, every=0.05)
        expect(budget).to_have_text(re.compile(r"of 400 at once, draining, used up in \d+ (s|min) at this rate; 60 each hour"))
        expect(budget).to_contain_text("budget: 0 of 400 at once")
        expect(card.locator(".state")).to_contain_text("budget spent")
        self.assertEqual(card.locator("meter").evaluate("meter => meter.value"), 0)
        expect(self.card(page, "spare").locator("[data-is=budget-part]")).to_be_hidden()

    def test_a_refusal_is_told_with_its_hold_its_cause_its_cure_and_since_when(self):
        self.fault(0, kind="http-status", status=403, methods=["getBalance"])
        self.addCleanup(self.fault, 0)
        card = self.card(self.page(), "v0")
        expect(card.locator(".state")).to_have_text(re.compile(r"^refuses getBalance \(HTTP 403\), for \d+ s$"))
        expect(card.locator(".mark")).to_have_text("!")
        told = card.locator("[data-is=reasons]")
        for what, says in (("the hold", r"getBalance: [\w -]+, .*\(HTTP 403\), since \d+ s, asked again (in \d+ s|with the next call)"),
                           ("the cause", r"HTTP 403"), ("the cure", r"likely cure: \w+"),
                           ("the last error", r"last error: getBalance: .*\(HTTP 403\), \d+ s ago")):
            with self.subTest(what):
                expect(told).to_have_text(re.compile(says))
        self.fault(0)
        expect(card.locator(".state")).to_contain_text("healthy")

    def test_a_phone_scrolls_down_and_nowhere_else(self):
        page = self.page(PHONE, is_mobile=True, has_touch=True)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            wide, high = page.evaluate("""() => {
                const root = document.scrollingElement;
                return [root.scrollWidth - root.clientWidth, root.scrollHeight - root.clientHeight];
            }""")
            self.assertEqual(wide, 0, scheme)
            self.assertGreater(high, 0, "there is more than a screenful")
            outside = page.evaluate("""() => [...document.body.querySelectorAll("*")]
                .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5 && one.checkVisibility())
                .map(one => `${one.tagName} ${one.textContent.trim().slice(0, 40)}`)""")
            self.assertEqual(outside, [], scheme)
            page.evaluate("scrollTo(500, 0)")
            self.assertEqual(page.evaluate("scrollX"), 0)

    def test_light_and_dark_are_two_looks_that_can_both_be_read_by_everybody(self):
        grounds = set()
        self.fault(1, kind="down")
        self.addCleanup(self.fault, 1)
        for viewport in (DESK, PHONE):
            page = self.page(viewport)
            # All colours are there to be looked at.
            expect(self.card(page, "v1").locator(".mark")).to_have_text("✕")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
                found = Axe().run(page)
                with self.subTest(f"{scheme}, {viewport['width']}"):
                    self.assertEqual(found.violations_count, 0, found.generate_report())
        self.assertEqual(len(grounds), 2)

    def test_the_keyboard_reaches_everything_and_stops_what_moves(self):
        page = self.page()
        page.keyboard.press("Tab")
        self.assertEqual(page.evaluate("document.activeElement.id"), "pause")
        self.assertNotEqual(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"), "none")
        page.keyboard.press("Enter")
        expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
        for link in page.locator("footer a").all():
            page.keyboard.press("Tab")
            self.assertEqual(page.evaluate("document.activeElement.href"), link.evaluate("link => link.href"))

    def test_nothing_is_asked_while_it_is_paused(self):
        context = self.browser.new_context()
        self.addCleanup(context.close)
        page = context.new_page()
        # Its seconds pass when we say so.
        page.clock.install()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(self.admin)
        expect(page.locator("#upstreams .card")).to_have_count(3)
        page.locator("#pause").click()
        before = len(asked)
        page.clock.run_for(10_000)
        self.assertEqual(len(asked), before)
        with page.expect_request("**/status"):
            page.locator("#pause").click()

    def test_a_gateway_that_is_gone_is_said_to_be(self):
        page = self.page(complains=True)
        page.route("**/status", lambda route: route.abort())
        expect(page.locator("#verdict")).to_contain_text("the gateway does not answer")
        page.unroute("**/status")
        expect(page.locator("#verdict")).to_contain_text("ready")

    def test_other_sites_can_neither_frame_it_nor_put_scripts_into_it(self):
        with urllib.request.urlopen(self.admin) as answer:
            policy = answer.headers["content-security-policy"]
        self.assertIn("frame-ancestors 'none'", policy)
        self.assertNotIn("unsafe", policy)


def channels(colour):
    return [float(part) for part in colour[colour.index("(") + 1:-1].split(",")[:3]]


def is_red(colour):
    red, green, blue = channels(colour)
    return red > 1.5 * green and red > 1.5 * blue


def is_green(colour):
    red, green, blue = channels(colour)
    return green > 1.5 * red and green > 1.5 * blue

