package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on what a file may hold. The YAML parser descends once per level and
// once per block key of a mapping, so both are bounded before it runs.
const (
	maxDepth = 32
	maxKeys  = 20_000 // of one mapping in block style
)

const exampleHint = "begin with what sallyport check --example prints"

// parseYAML turns the file into the root of a syntax tree, or into the one
// problem for which it cannot. Aliases, anchors, tags, directives and further
// documents are refused: the file needs none, and aliases can make a small file
// unfold into an endless one.
func parseYAML(name string, data []byte) (ast.Node, *Problem) {
	r := report{file: name}
	if !checkBytes(&r, data) {
		return nil, &r.problems[0]
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	tokens := lexer.Tokenize(text)
	if !checkTokens(&r, tokens, text) {
		return nil, &r.problems[0]
	}
	root, err := parseTokens(tokens)
	switch {
	case err != nil:
		r.addSyntax(err, text)
	case root == nil:
		r.add(Pos{1, 1}, "the file is empty", "", exampleHint)
	default:
		return root, nil
	}
	return nil, &r.problems[0]
}

// checkBytes refuses what is no text before anybody tries to read it.
func checkBytes(r *report, data []byte) bool {
	if len(data) > MaxSize {
		r.add(Pos{1, 1}, "the file is too large", fmt.Sprintf("a configuration has at most %d MiB", MaxSize>>20), "name the right file")
		return false
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		r.add(Pos{1, 1}, "the file is UTF-16 text", "YAML is read as UTF-8", "save it as UTF-8")
		return false
	}
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && size <= 1:
			r.add(posOf(data, i), "the file is not UTF-8 text", fmt.Sprintf("byte 0x%02x begins no character", data[i]), "save it as UTF-8, or name the right file")
			return false
		case c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f:
			r.add(posOf(data, i), "the file is not a text file", fmt.Sprintf("it holds the control byte 0x%02x", data[i]), "name the right file")
			return false
		}
		i += size
	}
	if len(bytes.TrimSpace(data)) == 0 {
		r.add(Pos{1, 1}, "the file is empty", "", exampleHint)
		return false
	}
	return true
}

func posOf(data []byte, offset int) Pos {
	before := data[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return Pos{1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[start:])}
}

// refused are the tokens of YAML that have no place in the file.
var refused = map[token.Type][2]string{
	token.AliasType:      {"an alias", `repeat the value; a text that begins with * needs quotes, as in number: "*"`},
	token.AnchorType:     {"an anchor", "remove it; a text that begins with & needs quotes"},
	token.MergeKeyType:   {"a merge key", "repeat the keys"},
	token.TagType:        {"a tag", "remove it; a text that begins with ! needs quotes"},
	token.DirectiveType:  {"a directive", "remove it; a text that begins with % needs quotes"},
	token.MappingKeyType: {"a question mark as key", "write key: value"},
}

// checkTokens refuses what the file may not hold, and what would make the
// parser descend without bound.
func checkTokens(r *report, tokens token.Tokens, text string) bool {
	depth, entries, line := 0, 0, 0
	var blocks []block
	documents := 0
	for i, tk := range tokens {
		at := position(tk)
		if tk.Type == token.InvalidType {
			r.addInvalid(at, tk.Error, text)
			return false
		}
		if no, ok := refused[tk.Type]; ok {
			r.add(at, "it holds "+no[0], "only plain keys, values, lists and comments are read", no[1])
			return false
		}
		if at.Line != line {
			line, entries = at.Line, 0
		}
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			entries++
		case token.DocumentHeaderType:
			if documents++; documents > 1 || i > 0 && !onlyComments(tokens[:i]) {
				r.add(at, "a second document begins here", "a configuration is one document", "remove the ---")
				return false
			}
		case token.MappingValueType:
			if depth == 0 && i > 0 && countKey(&blocks, position(tokens[i-1]).Column) > maxKeys {
				r.add(at, "the mapping is too long", fmt.Sprintf("it has more than %d keys", maxKeys), "name the right file")
				return false
			}
		}
		if max(depth, entries, len(blocks)) > maxDepth {
			r.add(at, "the nesting is too deep", fmt.Sprintf("no more than %d levels are read", maxDepth), "name the right file")
			return false
		}
	}
	return true
}

// block is a mapping in block style: the column of its keys, and their number.
type block struct{ column, keys int }

// countKey counts a key in the block that its column belongs to.
func countKey(blocks *[]block, column int) int {
	b := *blocks
	for len(b) > 0 && b[len(b)-1].column > column {
		b = b[:len(b)-1]
	}
	if len(b) == 0 || b[len(b)-1].column < column {
		b = append(b, block{column: column})
	}
	b[len(b)-1].keys++
	*blocks = b
	return b[len(b)-1].keys
}

func onlyComments(tokens token.Tokens) bool {
	for _, tk := range tokens {
		if tk.Type != token.CommentType {
			return false
		}
	}
	return true
}

// parseTokens returns nil for a file of nothing but comments. Duplicate keys
// are left to the decoder, which reports all of them.
func parseTokens(tokens token.Tokens) (root ast.Node, err error) {
	defer func() {
		// The parser is foreign; a file that it stumbles over must not end a
		// gateway that only looks at it.
		if p := recover(); p != nil {
			root, err = nil, fmt.Errorf("the YAML parser stumbled: %v", p)
		}
	}()
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.NullType && doc.Body.Type() != ast.CommentType {
			return doc.Body, nil
		}
	}
	return nil, nil
}

// addSyntax reports the one place at which the parser gave up.
func (r *report) addSyntax(err error, text string) {
	syntax, ok := errors.AsType[yaml.Error](err)
	if !ok {
		r.addInvalid(Pos{1, 1}, err.Error(), text)
		return
	}
	r.addInvalid(position(syntax.GetToken()), syntax.GetMessage(), text) // its Error would print the whole file
}

func (r *report) addInvalid(at Pos, message, text string) {
	if line, ok := tabIndent(text, at.Line); ok {
		r.add(Pos{line, 1}, "the line is indented with a tab", "YAML indents with spaces only", "replace the tab by spaces")
		return
	}
	why, remedy := syntaxReason(message)
	r.add(at, "the YAML cannot be read", why, remedy)
}

// tabIndent looks for the tab that a syntax error is really about: the first
// line to the one of the error, or just behind it, that is indented with one.
func tabIndent(text string, before int) (line int, ok bool) {
	for s := range strings.Lines(text) {
		line++
		if line > before+1 {
			return 0, false
		}
		indent := s[:len(s)-len(strings.TrimLeft(s, " \t"))]
		if strings.Contains(indent, "\t") && strings.TrimSpace(s) != "" {
			return line, true
		}
	}
	return 0, false
}

// syntaxWords puts what the parser says into the operator's words; the first
// that is part of its message counts.
var syntaxWords = []struct{ message, why, remedy string }{
	{"',' or '}' must", "a comma or a closing brace is missing", "close the { that was opened before this place"},
	{"',' or ']' must", "a comma or a closing bracket is missing", "close the [ that was opened before this place"},
	{"end character", "a quote is not closed", "close it on the same line"},
	{"reserved character", "the text begins with a reserved character", "put the text in quotes"},
	{"mapping value is not", `there are two "key:" where one can be`, "put a text that holds a colon and a space in quotes"},
	{"value is not allowed", "this does not fit what stands before it", "give the keys of one section the same indent, and look for a quote that is not closed"},
	{"non-map value", "a key with a colon is expected", `write "key: value", or "- " before an entry of a list`},
}

func syntaxReason(message string) (why, remedy string) {
	for _, w := range syntaxWords {
		if strings.Contains(message, w.message) {
			return w.why, w.remedy
		}
	}
	message, _, _ = strings.Cut(message, "\n")
	return message, "look at the indent, quotes and brackets here and in the line above"
}

func position(tk *token.Token) Pos {
	if tk == nil || tk.Position == nil {
		return Pos{1, 1}
	}
	return Pos{max(tk.Position.Line, 1), max(tk.Position.Column, 1)}
}
