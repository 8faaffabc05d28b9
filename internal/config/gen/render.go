package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// key is a field with a yaml tag.
type key struct {
	name string
	doc  string
	typ  string // of a section: the struct's name
	tag  reflect.StructTag
	each bool // a section of many named or listed elements
}

const head = `<!-- Made by go generate from the comments of internal/config. Do not edit. -->

# The configuration file

One YAML file says everything. ` + "`sallyport check FILE`" + ` reports all that is wrong with it at once, each with its
line, the reason and a remedy. Keys that are not on this page are errors, and so are duplicate keys, anchors, aliases
and tags. Paths are relative to the file. A file has at most 4 MiB.

## Example

` + "```yaml\n"

// render returns the page for the package in dir.
func render(dir string) ([]byte, error) {
	structs, err := parse(dir)
	if err != nil {
		return nil, err
	}
	example, err := os.ReadFile(filepath.Join(dir, "example.yaml"))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(head)
	b.Write(example)
	b.WriteString("```\n")
	for _, section := range structs["Config"] {
		if section.doc == "" {
			return nil, fmt.Errorf("%s has no doc comment", section.name)
		}
		fmt.Fprintf(&b, "\n## %s\n\n", section.name)
		if structs[section.typ] == nil {
			b.WriteString(section.facts())
		}
		b.WriteString(section.doc)
		if err := keys(&b, structs, section.typ, section.path()); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// keys renders the keys of a struct, and those of the groups among them.
func keys(b *bytes.Buffer, structs map[string][]key, typ, path string) error {
	for _, k := range structs[typ] {
		if k.doc == "" || k.kind() == "" {
			return fmt.Errorf("%s%s has no doc comment or no form", path, k.name)
		}
		fmt.Fprintf(b, "\n### `%s`\n\n%s%s", path+k.name, k.facts(), k.doc)
		if err := keys(b, structs, k.typ, path+k.name+"."); err != nil {
			return err
		}
	}
	return nil
}

// path is how the section's keys are written on the page.
func (k key) path() string {
	switch {
	case k.tag.Get("each") == "route":
		return k.name + "[]."
	case k.each:
		return k.name + ".NAME."
	}
	return k.name + "."
}

// facts is the line of form and need above a key's text.
func (k key) facts() string {
	facts := k.kind()
	if need := k.tag.Get("need"); need != "" {
		facts += ", " + need
	}
	return "*" + facts + "*\n\n"
}

// kind says what is written for the key.
func (k key) kind() string {
	if k.typ == "bool" {
		return "true or false"
	}
	return k.tag.Get("form")
}

// parse returns the keys of every struct of the package, in their order.
func parse(dir string) (map[string][]key, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	structs := make(map[string][]key)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					if keys := keysOf(s); keys != nil {
						structs[spec.Name.Name] = keys
					}
				}
			}
			return true
		})
	}
	if structs["Config"] == nil {
		return nil, fmt.Errorf("%s: there is no struct Config with yaml tags", dir)
	}
	return structs, nil
}

func keysOf(s *ast.StructType) []key {
	var keys []key
	for _, f := range s.Fields.List {
		if f.Tag == nil {
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		name := tag.Get("yaml")
		if name == "" {
			continue
		}
		keys = append(keys, key{
			name: name,
			doc:  f.Doc.Text(),
			typ:  typeName(f.Type),
			tag:  tag,
			each: tag.Get("each") != "",
		})
	}
	return keys
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.ArrayType:
		return typeName(e.Elt)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
