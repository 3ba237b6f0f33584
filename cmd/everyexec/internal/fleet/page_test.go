// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is one page in a headless Chromium, and what it did that it should not do.
type browser struct {
	t   *testing.T
	ctx context.Context
	url string

	mu       sync.Mutex
	trouble  []string // errors and requests
	requests int
}

// open shows the page of a summary, or skips the test where there is no Chromium.
func open(t *testing.T, s *Summary) *browser {
	t.Helper()
	path := chromium(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "fleet.html"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := s.WriteHTML(file); err != nil {
		t.Fatal(err)
	}

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WindowSize(1500, 1200),
		chromedp.WSURLReadTimeout(deadline))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)

	b := &browser{t: t, ctx: ctx, url: "file://" + file.Name()}
	if err := chromedp.Listen(ctx, b.watch); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(b.url))
	return b
}

// deadline is how long one step in the browser may take on a busy machine.
const deadline = 2 * time.Minute

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium here: apt-get install chromium")
	return ""
}

func (b *browser) watch(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests++
		if e.Request.URL != b.url && !strings.HasPrefix(e.Request.URL, "data:") {
			b.trouble = append(b.trouble, "asked for "+e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		b.trouble = append(b.trouble, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.trouble = append(b.trouble, e.Entry.Text)
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	run(b, chromedp.Steps(steps...))
}

// run returns what an action in the browser gives.
func run[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, deadline)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// script returns what a piece of JavaScript evaluates to.
func script[T any](b *browser, code string) T {
	b.t.Helper()
	return run(b, chromedp.Evaluate[T](code))
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

func (b *browser) write(selector, text string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// openDetails opens or closes all that can be opened.
func (b *browser) openDetails(open bool) {
	b.t.Helper()
	script[int](b, fmt.Sprintf(`[...document.querySelectorAll("details")].map((d) => d.open = %t).length`, open))
}

// quiet fails the test if the page asked for anything but itself, or reported an error.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests == 0 {
		b.t.Error("not even the page itself was seen to be asked for")
	}
	for _, s := range b.trouble {
		b.t.Error(s)
	}
}

// column returns the text of a column of the rows that are shown.
func (b *browser) column(n int) []string {
	b.t.Helper()
	return script[[]string](b, fmt.Sprintf(
		`[...document.querySelectorAll("#matrix tbody tr")].filter(r => r.checkVisibility()).map(r => r.cells[%d].innerText)`, n))
}

func (b *browser) shown() string {
	b.t.Helper()
	return script[string](b, `document.querySelector("#shown").innerText`)
}

// screenshot keeps a picture for people, with go test -artifacts.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	png := run(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// Columns of the matrix.
const (
	colHosts   = 0
	colKernel  = 1
	colVerdict = 4
)

func header(n int) string { return fmt.Sprintf("#matrix thead th:nth-child(%d) button", n+1) }

func TestPageSorts(t *testing.T) {
	b := open(t, sample(t))
	verdicts := b.column(colVerdict)
	if first, last := verdicts[0], verdicts[len(verdicts)-1]; first != "unusable" || last != "full" {
		t.Errorf("at first from %s to %s, want the worst first", first, last)
	}

	b.click(header(colHosts))
	ascending := b.column(colHosts)
	b.click(header(colHosts))
	descending := b.column(colHosts)
	if ascending[0] != "1" || descending[0] != "699" || len(ascending) != len(descending) {
		t.Errorf("hosts upwards %q, downwards %q", ascending, descending)
	}
	if order := script[string](b, `document.querySelector("#matrix thead th").ariaSort`); order != "descending" {
		t.Errorf("aria-sort is %q", order)
	}

	b.click(header(colKernel))
	kernels := slices.Compact(b.column(colKernel))
	if kernels[0] != "3.10.0-1160.119.1.el7.x86_64" || slices.Index(kernels, "5.10.0-32-amd64") < slices.Index(kernels, "4.15.0-213-generic") ||
		slices.Index(kernels, "4.15.0-213-generic") < slices.Index(kernels, "4.14.355-275.572.amzn2.x86_64") {
		t.Errorf("kernels are not in the order of versions: %q", kernels)
	}
	b.quiet()
}

func TestPageFilters(t *testing.T) {
	b := open(t, sample(t))
	if got, want := b.shown(), "20 of 20 rows, 3,002 hosts"; got != want {
		t.Errorf("shows %q, want %q", got, want)
	}
	b.click(`[name=verdict][value=full]`)
	if got, want := b.shown(), "11 of 20 rows, 481 hosts"; got != want {
		t.Errorf("without full ones: shows %q, want %q", got, want)
	}
	if got := b.column(colVerdict); len(got) != 11 || slices.Contains(got, "full") {
		t.Errorf("without full ones: %q", got)
	}
	b.write("#variant", "stub")
	if got := b.column(colKernel); len(got) != 4 {
		t.Errorf("with stub: %q", got)
	}
	b.write("#words", "UBUNTU ppid")
	if got := b.column(colKernel); !slices.Equal(got, []string{"4.15.0-213-generic"}) {
		t.Errorf("with ubuntu and ppid: %q", got)
	}
	b.write("#words", " nothing like this\n")
	if got, want := b.shown(), "0 of 20 rows, 0 hosts"; got != want {
		t.Errorf("with words that are nowhere: shows %q, want %q", got, want)
	}
	b.quiet()
}

// poorContrast lists text whose contrast with what lies below it is under 4.5 (WCAG 2 AA).
const poorContrast = `(() => {
  const rgb = (c) => c.match(/[\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = rgb(c).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const below = (e) => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (rgb(c)[3] !== 0) return c;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.checkVisibility() || ["SCRIPT", "OPTION"].includes(e.tagName)) continue;
    seen++;
    const [a, b] = [light(getComputedStyle(e).color), light(below(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.add(e.tagName + "." + e.className + " " + ratio.toFixed(2) + ": " + e.innerText.slice(0, 30));
  }
  if (seen < 100) poor.add("only " + seen + " texts looked at");
  return [...poor];
})()`

// media makes the browser say that its user prefers light or dark.
func (b *browser) media(scheme string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

func TestPageIsReadableInLightAndDark(t *testing.T) {
	b := open(t, sample(t))
	background := make(map[string]string)
	for _, scheme := range []string{"light", "dark"} {
		b.media(scheme)
		b.openDetails(true)
		for _, p := range script[[]string](b, poorContrast) {
			t.Errorf("%s: poor contrast: %s", scheme, p)
		}
		b.openDetails(false)
		background[scheme] = script[string](b, `getComputedStyle(document.body).backgroundColor`)
		b.screenshot(scheme + ".png")
	}
	if white := "rgb(255, 255, 255)"; background["light"] != white || background["dark"] == white {
		t.Errorf("the background is %s in light and %s in dark", background["light"], background["dark"])
	}
	b.quiet()
}

func TestPageFitsANarrowScreen(t *testing.T) {
	b := open(t, sample(t))
	b.do(chromedp.EmulateViewport(390, 844))
	wider := script[bool](b, `document.documentElement.scrollWidth > innerWidth`)
	if wider {
		t.Error("the page as a whole must be scrolled sideways")
	}
	b.screenshot("narrow.png")
	b.quiet()
}

func TestPageShowsMarkupAsText(t *testing.T) {
	s := read(evil(t) + evil(t)[:50] + "\n")
	if s.Hosts != 1 {
		t.Fatalf("the evil report was refused: %v", s.Damaged)
	}
	b := open(t, s)
	b.openDetails(true)
	title := run(b, chromedp.Title())
	row := script[string](b, `document.querySelector("#matrix tbody").innerText`)
	foreign := script[int](b, `document.querySelectorAll("img, i, u, body > script:not(:last-child), table script").length`)
	if title != "everyexec fleet: 1 host" || foreign != 0 {
		t.Errorf("title %q, %d foreign elements", title, foreign)
	}
	for _, want := range []string{"<b>5.4.0&<i>", "<u>", "<script> {{.}}", "<img src=http://evil.example/x", `"><img/src=http://evil.example/h>`} {
		if !strings.Contains(row, want) {
			t.Errorf("the row does not show %q:\n%s", want, row)
		}
	}
	b.quiet()
}
