package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// alertRule is a row of contrib/prometheus/alerts.yml.
type alertRule struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

func alertRules(t *testing.T) []alertRule {
	t.Helper()
	b, err := os.ReadFile("../../contrib/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []alertRule } }
	if err := yaml.Unmarshal(b, &file); err != nil || len(file.Groups) != 1 || len(file.Groups[0].Rules) == 0 {
		t.Fatalf("%d groups, %v", len(file.Groups), err)
	}
	return file.Groups[0].Rules
}

var (
	selectors = regexp.MustCompile(`(sallyport_\w+)(?:\{([^}]*)\})?`)
	matchers  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
	grouping  = regexp.MustCompile(`by \(([^)]*)\)`)
)

// exported says what is wrong with the metrics of an expression: those there are not, and labels that they do not have.
func exported(there map[string][]string, expr string) (wrong []string) {
	var labels []string
	for _, m := range selectors.FindAllStringSubmatch(expr, -1) {
		has, ok := there[m[1]]
		if !ok {
			wrong = append(wrong, "there is no metric "+m[1])
		}
		labels = append(labels, has...)
		for _, l := range matchers.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "instance" && !slices.Contains(has, l[1]) {
				wrong = append(wrong, m[1]+" has no label "+l[1])
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(m[1], ", ") {
			if l != "instance" && !slices.Contains(labels, l) {
				wrong = append(wrong, "nothing has the label "+l)
			}
		}
	}
	return wrong
}

func TestAlertsNameWhatIsExported(t *testing.T) {
	there := kinds(t)
	page, err := os.ReadFile("../../docs/operate/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range alertRules(t) {
		for _, wrong := range exported(there, r.Expr) {
			t.Errorf("%s: %s", r.Alert, wrong)
		}
		if r.Annotations["summary"] == "" || r.Annotations["remedy"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s lacks a summary, a remedy or a severity", r.Alert)
		}
		if !strings.Contains(string(page), "`"+r.Alert+"`") {
			t.Errorf("docs/operate/metrics.md does not have %s", r.Alert)
		}
	}
	if got := exported(there, `sum by (number) (sallyport_calls{peer="a"} / sallyport_call)`); len(got) != 3 {
		t.Errorf("of an expression with three mistakes it says %q", got)
	}
}

// The dashboard is of the schema of Grafana 10 (38): every panel has a place of its own on a grid of 24, a data source that
// can be chosen, and expressions of what the gateway exports.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../contrib/grafana/sallyport.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID, Title    string
		SchemaVersion int
		Templating    struct {
			List []struct{ Name, Type, Query string }
		}
		Panels []struct {
			ID          int
			Type, Title string
			Datasource  struct{ Type, UID string }
			GridPos     struct{ H, W, X, Y int }
			Targets     []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion != 38 || len(d.Templating.List) != 3 || len(d.Panels) == 0 {
		t.Errorf("got %q, %q, schema %d, %d variables, %d panels", d.UID, d.Title, d.SchemaVersion, len(d.Templating.List), len(d.Panels))
	}
	there, taken := kinds(t), map[[2]int]string{}
	for _, v := range d.Templating.List {
		for _, wrong := range exported(there, v.Query) {
			t.Errorf("variable %s: %s", v.Name, wrong)
		}
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Datasource.Type != "prometheus" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s: id %d, data source %v, %d targets", p.Title, p.ID, p.Datasource, len(p.Targets))
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies on %s, or beside the grid", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, "sallyport_") {
				t.Errorf("%s: %s has no metric of ours", p.Title, target.Expr)
			}
			for _, wrong := range exported(there, target.Expr) {
				t.Errorf("%s: %s", p.Title, wrong)
			}
		}
	}
}
