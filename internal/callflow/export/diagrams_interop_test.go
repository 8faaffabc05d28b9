//go:build interop

package export

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// A rendering is a diagram that a renderer is to draw, and the words that it must show.
type rendering struct {
	name, source string
	words        []string
}

// renderings are every script, with hops open and closed, and every attack, in one format.
func renderings(t *testing.T, format string) (all []rendering) {
	add := func(name string, f *callflow.Flow, o Options) {
		r := rendering{name: name, source: written(t, format, []*callflow.Flow{f}, o)}
		for _, row := range NewView(f, o).Rows {
			r.words = append(r.words, Clean(row.Label, false))
		}
		all = append(all, r)
	}
	for file, flows := range scripted(t) {
		for i, f := range flows {
			for _, fold := range []bool{true, false} {
				add(fmt.Sprintf("%s-%d-%v", strings.TrimSuffix(file, ".txtar"), i, fold), f, Options{FoldTLS: fold})
			}
		}
	}
	for i, s := range attacks {
		if len(s) < 200 {
			add(fmt.Sprintf("attack-%d", i), hostile(s), Options{})
		}
	}
	return all
}

// program is the path of a program that the test needs.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is needed: %v", name, err)
	}
	return path
}

// shows wants the words in what was drawn. Blanks do not count, because renderers break lines and cut text at them.
func shows(t *testing.T, r *rendering, drawn string) {
	t.Helper()
	squeeze := func(s string) string { return strings.Join(strings.Fields(strings.ReplaceAll(s, "\u00a0", " ")), "") }
	drawn = squeeze(drawn)
	for _, words := range r.words {
		if !strings.Contains(drawn, squeeze(words)) {
			t.Errorf("%s: %q is not in the picture of\n%s\nwhich has %.3000s", r.name, words, r.source, drawn)
			return
		}
	}
}

// TestPlantUMLDrawsTheFlows has PlantUML draw each flow, and looks for the words of each row in its pictures.
func TestPlantUMLDrawsTheFlows(t *testing.T) {
	t.Parallel()
	plantuml, dir := program(t, "plantuml"), t.TempDir()
	all := renderings(t, "plantuml")
	args := []string{"-tsvg", "-charset", "UTF-8"}
	for _, r := range all {
		file := filepath.Join(dir, r.name+".puml")
		if err := os.WriteFile(file, []byte(r.source), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	if out, err := exec.Command(plantuml, args...).CombinedOutput(); err != nil {
		t.Fatalf("plantuml: %v\n%.2000s", err, out)
	}
	tags := regexp.MustCompile(`<!--[\s\S]*?-->|<[^>]*>`)
	for i := range all {
		svg, err := os.ReadFile(filepath.Join(dir, all[i].name+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(svg), "<image") || strings.Contains(string(svg), "<a ") {
			t.Errorf("%s: the picture has a link or a picture within it", all[i].name)
		}
		shows(t, &all[i], html.UnescapeString(tags.ReplaceAllString(string(svg), "")))
	}
}

// Mermaid as it comes from npm.
const (
	mermaidPackage   = "mermaid@11.17.2"
	mermaidIntegrity = "V6K3C8EBdEsPFZXSKMJe6ppQOENxuHARr9GvHX4hh47lAbhMRD9qf4oEK7LoaRQxULMa80/qt5gHO73aCleBBg=="
)

// fetchMermaid writes the script of Mermaid into dir, when the package is the one that we know.
func fetchMermaid(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(program(t, "npm"), "pack", mermaidPackage, "--silent", "--ignore-scripts")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("npm pack: %v\n%s", err, out)
	}
	packed, err := os.ReadFile(filepath.Join(dir, strings.TrimSpace(string(out))))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha512.Sum512(packed); base64.StdEncoding.EncodeToString(sum[:]) != mermaidIntegrity {
		t.Fatalf("%s is not the package that we know", mermaidPackage)
	}
	zipped, err := gzip.NewReader(strings.NewReader(string(packed)))
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(zipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("%s has no dist/mermaid.min.js", mermaidPackage)
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "package/dist/mermaid.min.js" {
			b, err := io.ReadAll(files)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "mermaid.min.js"), b, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

const mermaidPage = `<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>
<script src="mermaid.min.js"></script><script>
(async () => {
	mermaid.initialize({startOnLoad: false, securityLevel: "strict"});
	const drawn = [];
	for (const [i, source] of SOURCES.entries()) {
		try {
			const svg = (await mermaid.render("m" + i, source)).svg;
			const div = document.createElement("div");
			div.innerHTML = svg;
			const dangerous = div.querySelectorAll("script, image, img, iframe, a").length;
			div.querySelectorAll("style").forEach((e) => e.remove());
			drawn.push({text: div.textContent, dangerous});
		} catch (e) {
			drawn.push({error: String(e)});
		}
	}
	document.body.replaceChildren(document.createElement("pre"));
	document.querySelector("pre").textContent = "[drawn]" +
		btoa(unescape(encodeURIComponent(JSON.stringify(drawn)))) + "[end]";
})();
</script></body></html>
`

// TestMermaidDrawsTheFlows has Mermaid draw each flow in headless Chromium, and looks for the words of each row in its
// pictures.
func TestMermaidDrawsTheFlows(t *testing.T) {
	t.Parallel()
	chromium, dir := program(t, "chromium"), t.TempDir()
	fetchMermaid(t, dir)
	all := renderings(t, "mermaid")
	var sources []string
	for _, r := range all {
		sources = append(sources, r.source)
	}
	list, err := json.Marshal(sources) // <, > and & as escapes, so that nothing ends the script
	if err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(dir, "page.html")
	if err := os.WriteFile(page, []byte(strings.Replace(mermaidPage, "SOURCES", string(list), 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--virtual-time-budget=600000", "--dump-dom", "file://"+page)
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	_, packed, ok := strings.Cut(string(dom), "[drawn]")
	packed, _, _ = strings.Cut(packed, "[end]")
	b, err := base64.StdEncoding.DecodeString(packed)
	if !ok || err != nil {
		t.Fatalf("the page says nothing: %v, %.500s", err, dom)
	}
	var drawn []struct {
		Text, Error string
		Dangerous   int
	}
	if err := json.Unmarshal(b, &drawn); err != nil || len(drawn) != len(all) {
		t.Fatalf("%d pictures of %d: %v", len(drawn), len(all), err)
	}
	for i := range all {
		switch d := &drawn[i]; {
		case d.Error != "":
			t.Errorf("%s: %s, in\n%s", all[i].name, d.Error, all[i].source)
		case d.Dangerous > 0:
			t.Errorf("%s: the picture has a link or a picture within it", all[i].name)
		default:
			shows(t, &all[i], d.Text)
		}
	}
}
