package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// fault says why a value is no good, and what to write instead.
type fault struct {
	why, remedy string
	secret      bool // the value must not be shown
}

// scalar is a value that reads itself from text. On a fault it stays as it was.
type scalar interface{ set(text string) *fault }

// setWord sets one of a few words.
func setWord[T ~string](to *T, text string, words ...T) *fault {
	known := make([]string, len(words))
	for i, w := range words {
		if text == string(w) {
			*to = w
			return nil
		}
		known[i] = string(w)
	}
	return &fault{why: "it is one of " + list(known, "or"), remedy: suggest(text, known, "choose one")}
}

// decoder fills a Config from a syntax tree by the yaml tags of its structs. It
// goes on behind each problem.
type decoder struct{ report }

func (d *decoder) decode(root ast.Node, cfg *Config) {
	d.object(root, reflect.ValueOf(cfg).Elem(), "")
}

// entry is a key of a mapping with its value.
type entry struct {
	key   string
	at    Pos
	value ast.Node
}

// entries returns the keys of a mapping, each once; it reports what is no
// mapping, what is no key, and duplicates.
func (d *decoder) entries(n ast.Node, label string, want string) []entry {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.add(nodePos(n), prefix(label)+"expected "+want, "this is "+describe(n), `write it as "key: value"`)
		return nil
	}
	var out []entry
	first := make(map[string]Pos)
	for it := m.MapRange(); it.Next(); {
		kv := it.KeyValue()
		e := entry{at: nodePos(kv.Key), value: kv.Value}
		key, ok := kv.Key.(ast.ScalarNode)
		if !ok {
			d.add(e.at, prefix(label)+"bad key", "a key is a word", "write a word before the colon")
			continue
		}
		e.key = keyText(key)
		if at, twice := first[e.key]; twice {
			d.add(e.at, fmt.Sprintf("%s%q is defined twice", prefix(label), e.key), fmt.Sprintf("the first is in line %d", at.Line), "remove or rename one")
			continue
		}
		first[e.key] = e.at
		out = append(out, e)
	}
	return out
}

// object fills a struct from a mapping.
func (d *decoder) object(n ast.Node, v reflect.Value, label string) {
	place := v.FieldByName("Place").Addr().Interface().(*Place)
	if place.Pos == (Pos{}) {
		place.Pos = nodePos(n)
	}
	if _, ok := n.(ast.MapNode); !ok {
		place.bad = append(place.bad, everyKey)
	}
	fields, known := fieldsOf(v)
	for _, e := range d.entries(n, label, "keys with values") {
		f, ok := fields[e.key]
		if !ok {
			what := fmt.Sprintf("%skey %q is unknown", prefix(label), e.key)
			d.add(e.at, what, "the keys here are "+list(known, "and"), suggest(e.key, known, "remove it"))
			if meant, ok := Nearest(e.key, known); ok {
				place.bad = append(place.bad, meant)
			}
			continue
		}
		at := e.at
		if _, scalar := e.value.(ast.ScalarNode); scalar {
			at = nodePos(e.value)
		}
		place.set(e.key, at)
		before := len(d.problems)
		d.value(e, v.FieldByIndex(f.Index), f, label, place)
		if len(d.problems) > before {
			place.bad = append(place.bad, e.key)
		}
	}
}

// fieldsOf returns a struct's fields by their keys, and the keys in order.
func fieldsOf(v reflect.Value) (map[string]reflect.StructField, []string) {
	fields := make(map[string]reflect.StructField)
	var known []string
	for _, f := range reflect.VisibleFields(v.Type()) {
		if key := f.Tag.Get("yaml"); key != "" {
			fields[key] = f
			known = append(known, key)
		}
	}
	return fields, known
}

// value fills one field by its type.
func (d *decoder) value(e entry, v reflect.Value, f reflect.StructField, label string, place *Place) {
	each := f.Tag.Get("each")
	switch {
	case each != "" && isNull(e.value): // a section whose elements are all commented out
	case f.Type.Kind() == reflect.Struct && v.FieldByName("Place").IsValid():
		if !isNull(e.value) {
			d.object(e.value, v, prefix(label)+e.key)
		}
	case each == "filter":
		d.texts(e, v.Addr().Interface().(*[]SavedFilter))
	case each == "route":
		d.sequence(e, v, each)
	case each != "":
		d.mapping(e, v, each)
	case f.Type.Kind() == reflect.Slice:
		d.list(e, v, label, place)
	default:
		d.scalar(e.value, v, prefix(label)+"bad "+e.key)
	}
}

// mapping fills a slice of named elements from "name: {…}".
func (d *decoder) mapping(e entry, v reflect.Value, kind string) {
	for _, el := range d.entries(e.value, e.key, "names with "+kind+" settings") {
		if f := checkElementName(el.key); f != nil {
			d.add(el.at, fmt.Sprintf("%s: bad name %s", e.key, quote(el.key)), f.why, f.remedy)
			continue
		}
		d.element(v, el.value, el.key, el.at, fmt.Sprintf("%s %q", kind, el.key))
	}
}

// texts fills saved filters from "name: text".
func (d *decoder) texts(e entry, to *[]SavedFilter) {
	for _, el := range d.entries(e.value, e.key, "names with filters") {
		f := checkElementName(el.key)
		if f != nil {
			d.add(el.at, fmt.Sprintf("%s: bad name %s", e.key, quote(el.key)), f.why, f.remedy)
			continue
		}
		text, f := textOf(el.value)
		if f != nil {
			d.add(nodePos(el.value), fmt.Sprintf("filter %q", el.key), f.why, f.remedy)
			continue
		}
		*to = append(*to, SavedFilter{Name: el.key, Place: Place{Pos: nodePos(el.value)}, Text: text})
	}
}

// sequence fills a slice of elements from "- {…}", named by their number.
func (d *decoder) sequence(e entry, v reflect.Value, kind string) {
	s, ok := e.value.(*ast.SequenceNode)
	if !ok {
		d.add(nodePos(e.value), e.key+": expected a list", "this is "+describe(e.value), `begin each of them with "- "`)
		return
	}
	for i, n := range s.Values {
		number := strconv.Itoa(i + 1)
		d.element(v, n, number, nodePos(n), kind+" "+number)
	}
}

func (d *decoder) element(list reflect.Value, n ast.Node, name string, at Pos, label string) {
	el := reflect.New(list.Type().Elem()).Elem()
	el.FieldByName("Name").SetString(name)
	el.FieldByName("Place").Set(reflect.ValueOf(Place{Pos: at}))
	if !isNull(n) { // nothing set: what is missing is the check's to say
		d.object(n, el, label)
	}
	list.Set(reflect.Append(list, el))
}

// list fills a slice of scalars; an empty one becomes empty, not nil.
func (d *decoder) list(e entry, v reflect.Value, label string, place *Place) {
	s, ok := e.value.(*ast.SequenceNode)
	if !ok {
		remedy := "write it as [a, b]"
		if sc, ok := e.value.(*ast.StringNode); ok {
			remedy = fmt.Sprintf("write it as [%s]", quote(sc.Value))
		}
		d.add(nodePos(e.value), fmt.Sprintf("%s%s is not a list", prefix(label), e.key), "this is "+describe(e.value), remedy)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(s.Values)))
	for i, n := range s.Values {
		item := reflect.New(v.Type().Elem()).Elem()
		if d.scalar(n, item, prefix(label)+"bad entry in "+e.key) {
			place.set(itemKey(e.key, v.Len()), nodePos(s.Values[i]))
			v.Set(reflect.Append(v, item))
		}
	}
}

// scalar fills a text, a boolean or a value that reads itself.
func (d *decoder) scalar(n ast.Node, v reflect.Value, what string) bool {
	if v.Kind() == reflect.Bool {
		b, ok := n.(*ast.BoolNode)
		if ok {
			v.SetBool(b.Value)
		} else {
			d.add(nodePos(n), what, "this is "+describe(n), "write true or false")
		}
		return ok
	}
	text, f := textOf(n)
	if _, ok := v.Addr().Interface().(number); ok && f != nil {
		switch n.(type) {
		case *ast.IntegerNode, *ast.FloatNode:
			text, f = n.GetToken().Value, nil
		}
	}
	if f == nil {
		if s, ok := v.Addr().Interface().(scalar); ok {
			f = s.set(text)
		} else {
			v.SetString(text)
		}
		if f != nil && !f.secret {
			what += " " + quote(text)
		}
	}
	if f != nil {
		d.add(nodePos(n), what, f.why, f.remedy)
	}
	return f == nil
}

// textOf returns the text of a string, and a fault for everything else.
func textOf(n ast.Node) (string, *fault) {
	var text string
	switch s := n.(type) {
	case *ast.StringNode:
		text = s.Value
	case *ast.LiteralNode:
		text = strings.TrimRight(s.Value.Value, "\n")
	case *ast.NullNode:
		return "", &fault{why: "it has no value", remedy: "write one, or remove the key"}
	case ast.ScalarNode:
		return "", &fault{why: "this is " + describe(n) + ", expected text", remedy: "put it in quotes: " + strconv.Quote(keyText(s))}
	default:
		return "", &fault{why: "this is " + describe(n) + ", expected text", remedy: "write one value"}
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", &fault{why: "the text has control characters or several lines", remedy: "write it on one line"}
	}
	if strings.TrimSpace(text) == "" {
		return "", &fault{why: "the text is empty", remedy: "write one, or remove the key"}
	}
	return text, nil
}

// checkElementName keeps names fit for messages, metrics and paths.
func checkElementName(name string) *fault {
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(c rune) bool {
		return !alphanumeric(c) && c != '-' && c != '_' && c != '.'
	}) {
		return &fault{why: "a name has 1 to 64 letters, digits, dots, hyphens and underscores", remedy: "choose another"}
	}
	return nil
}

// keyText returns a scalar as the file has it, without its quotes.
func keyText(n ast.ScalarNode) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	}
	return n.GetToken().Value
}

func isNull(n ast.Node) bool {
	return n == nil || n.Type() == ast.NullType
}

func describe(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.StringNode:
		return "the text " + quote(n.Value)
	case *ast.LiteralNode:
		return "a text of several lines"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return "the boolean " + n.GetToken().Value
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "a group of keys"
	}
	return "something else"
}

// nodePos is where a node begins. For a mapping in block style that is its
// first key.
func nodePos(n ast.Node) Pos {
	switch n := n.(type) {
	case nil:
		return Pos{1, 1}
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return nodePos(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return nodePos(n.Key)
	case *ast.LiteralNode:
		return position(n.Start)
	}
	return position(n.GetToken())
}

func prefix(label string) string {
	if label == "" {
		return ""
	}
	return label + ": "
}
