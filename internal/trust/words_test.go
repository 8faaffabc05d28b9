package trust

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Each code has one row, whose words can be told to an operator and outside, and says more than that a handshake failed.
func TestEveryCodeHasWords(t *testing.T) {
	t.Parallel()
	for _, code := range declaredCodes(t) {
		i := slices.IndexFunc(reasons, func(r wording) bool { return r.code == code })
		if i < 0 {
			t.Errorf("%s has no row in reasons", code)
			continue
		}
		row := reasons[i]
		if slices.ContainsFunc(reasons[i+1:], func(r wording) bool { return r.code == code }) {
			t.Errorf("%s has two rows", code)
		}
		if row.sentence == "" || code != NotJudged && (row.remedy == "" || row.public == "") {
			t.Errorf("%s lacks a sentence, a remedy or what may be said outside: %+v", code, row)
		}
		for _, ours := range []bool{false, true} {
			reason, remedy := words{ours: ours, detail: ": this"}.say(code)
			for _, text := range []string{reason, remedy, row.public} {
				if empty.MatchString(text) || strings.ContainsAny(text, "{}") {
					t.Errorf("%s says %q", code, text)
				}
			}
		}
	}
}

// empty are texts that name no reason.
var empty = regexp.MustCompile(`(?i)^(the )?(tls )?(handshake )?(error|failed|failure)\.?$|handshake (error|failed|failure)$`)

// declaredCodes are the constants of type Code in refusal.go.
func declaredCodes(t *testing.T) (codes []Code) {
	file, err := parser.ParseFile(token.NewFileSet(), "refusal.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Code" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, Code(text))
		}
		return true
	})
	if len(codes) != len(reasons) {
		t.Errorf("%d codes and %d rows", len(codes), len(reasons))
	}
	return codes
}
