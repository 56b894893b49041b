package report

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/bench/result"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// shotsEnv names a directory for screenshots of the page.
const shotsEnv = "CARTWHEEL_REPORT_SHOTS"

// browser is a page in a real browser that serves one report and notes what it complains about.
type browser struct {
	ctx      context.Context
	mu       sync.Mutex
	problems []string
	requests []string
}

// openBrowser starts the browser, or skips the test where there is none.
func openBrowser(t *testing.T) *browser {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("the report is not tried in a real browser: chromium is not installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox)
	for _, flag := range []string{"disable-gpu", "disable-component-update", "hide-scrollbars"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	b := &browser{}
	ctx, closeTab := chromedp.NewContext(ctx, chromedp.WithListener(b.note))
	t.Cleanup(closeTab)
	b.ctx = ctx
	return b
}

// note gathers what the browser says while it works.
func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.problems = append(b.problems, fmt.Sprintf("console: %s", e.Type))
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.problems = append(b.problems, fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, "data:") {
			b.requests = append(b.requests, e.Request.URL)
		}
	}
}

// show opens a report and fails if the browser asked for anything but the page.
func (b *browser) show(t *testing.T, run *result.Run) {
	t.Helper()
	var page bytes.Buffer
	if err := HTML(&page, run); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if _, err := w.Write(page.Bytes()); err != nil {
			t.Log(err)
		}
	}))
	t.Cleanup(server.Close)
	b.mu.Lock()
	b.requests = nil
	b.mu.Unlock()
	if _, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(b.ctx, chromedp.Navigate(server.URL+"/report"), chromedp.WaitReady(chromedp.CSS("footer"))); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(asked) != 1 || len(b.requests) != 1 {
		t.Errorf("the server saw requests for %q, the browser made %q; want only the page", asked, b.requests)
	}
	if len(b.problems) > 0 {
		t.Errorf("the browser complains: %q", b.problems)
	}
}

// look is what the page looks like at one width and in one scheme.
type look struct {
	Background, Ink, Cell string // computed colours
	Overflow              float64
	Charts                []struct {
		ID                        string
		Left, Right, Width, Hight float64
		Shapes                    int
		Name, Overlap             string
		Small                     float64 // the smallest text, in pixels
	}
}

// lookScript measures every drawing that is shown, and finds texts in it that cover each other.
const lookScript = `(() => {
  const shown = [...document.querySelectorAll('figure svg')].filter(s => getComputedStyle(s).display !== 'none');
  const charts = shown.map(s => {
    const box = s.getBoundingClientRect();
    const texts = [...s.querySelectorAll('text')].filter(t => t.textContent.trim());
    const boxes = texts.map(t => { const b = t.getBoundingClientRect(); return {t: t.textContent, l: b.left, r: b.right, u: b.top + b.height*0.2, d: b.bottom - b.height*0.2, h: b.height}; });
    let overlap = '';
    for (let i = 0; i < boxes.length; i++) {
      const a = boxes[i];
      if (a.l < box.left - 2 || a.r > box.right + 2) overlap = a.t + ' leaves the chart';
      for (let j = 0; j < i; j++) {
        const b = boxes[j];
        if (a.l < b.r - 0.5 && b.l < a.r - 0.5 && a.u < b.d && b.u < a.d) overlap = a.t + ' covers ' + b.t;
      }
    }
    const named = s.getAttribute('aria-labelledby').split(' ').map(id => (document.getElementById(id) || {}).textContent || '');
    return {ID: s.parentElement.id, Left: box.left, Right: box.right, Width: box.width, Hight: box.height,
      Shapes: s.querySelectorAll('path').length, Name: named.every(n => n.length > 3) ? named[0] : '', Overlap: overlap,
      Small: Math.min(...texts.map(t => parseFloat(getComputedStyle(t).fontSize) * box.width / s.viewBox.baseVal.width))};
  });
  const style = e => getComputedStyle(e);
  return {Background: style(document.body).backgroundColor, Ink: style(document.querySelector('figure svg text')).fill,
    Cell: style(document.querySelector('figure svg path')).fill, Overflow: document.documentElement.scrollWidth - window.innerWidth, Charts: charts};
})()`

// look measures the page.
func (b *browser) look(t *testing.T, width int64, scheme string) look {
	t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(width, 900)); err != nil {
		t.Fatal(err)
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
	l, err := chromedp.Run(b.ctx, chromedp.Evaluate[look](lookScript))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// shoot saves a picture of the whole page if that is asked for.
func (b *browser) shoot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv(shotsEnv)
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBrowser opens reports in a real browser: on wide and narrow screens, light and dark, every
// chart is there, inside of the screen, with a name, readable, and no text covers another.
func TestBrowser(t *testing.T) {
	b := openBrowser(t)
	for _, c := range []struct {
		name string
		run  *result.Run
	}{{"sample", sampleRun()}, {"large", largeRun()}} {
		b.show(t, c.run)
		charts := 0
		for _, s := range sections(c.run) {
			charts += len(s.charts)
		}
		for _, width := range []int64{1280, 400} {
			looks := map[string]look{}
			for _, scheme := range []string{"light", "dark"} {
				l := b.look(t, width, scheme)
				looks[scheme] = l
				if len(l.Charts) != charts {
					t.Errorf("%s, %d px, %s: %d charts are shown, want %d", c.name, width, scheme, len(l.Charts), charts)
				}
				if l.Overflow > 0 {
					t.Errorf("%s, %d px, %s: the page is %v px wider than the screen", c.name, width, scheme, l.Overflow)
				}
				for _, chart := range l.Charts {
					if chart.Left < 0 || chart.Right > float64(width) || chart.Width < 250 || chart.Hight < 80 || chart.Shapes < 3 ||
						chart.Name == "" || chart.Overlap != "" || chart.Small < 8.5 {
						t.Errorf("%s, %d px, %s: chart is not as it should be: %+v", c.name, width, scheme, chart)
					}
				}
				b.shoot(t, fmt.Sprintf("%s-%d-%s", c.name, width, scheme))
			}
			if l, d := looks["light"], looks["dark"]; l.Background == d.Background || l.Ink == d.Ink || l.Cell == d.Cell {
				t.Errorf("%s, %d px: light %s %s %s and dark %s %s %s do not differ", c.name, width, l.Background, l.Ink, l.Cell, d.Background, d.Ink, d.Cell)
			}
		}
	}
}
