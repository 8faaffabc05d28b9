package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Every key that names a file is one of Files, relative to the configuration: so
// it is watched. The keys are found by what the page of the configuration calls
// their values.
func TestEveryFileIsListed(t *testing.T) {
	cfg := Default()
	var want []string
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		for i := range v.NumField() {
			f, field := v.Type().Field(i), v.Field(i)
			form := f.Tag.Get("form")
			name := v.Type().Name() + "." + f.Name
			switch {
			case !f.IsExported() || f.Type == reflect.TypeFor[Place]():
			case form == "file name" && f.Type.Kind() == reflect.String:
				field.SetString(name)
				want = append(want, name)
			case form == "list of file names":
				field.Set(reflect.ValueOf([]string{name}))
				want = append(want, name)
			case f.Type.Kind() == reflect.Struct && f.Tag.Get("yaml") != "":
				fill(field)
			case f.Tag.Get("each") != "":
				one := reflect.New(f.Type.Elem()).Elem()
				fill(one)
				field.Set(reflect.Append(field, one))
			}
		}
	}
	fill(reflect.ValueOf(cfg).Elem())
	cfg.resolvePaths("dir")
	got := map[string]bool{}
	for _, f := range cfg.Files() {
		got[f.Path] = true
		if f.Of == "" || f.Key == "" {
			t.Errorf("nothing says whose %s is", f.Path)
		}
	}
	if len(want) < 4 {
		t.Fatalf("only %q were found", want)
	}
	for _, name := range want {
		if !got[filepath.Join("dir", name)] {
			t.Errorf("%s is not among Files, or not in the directory of the configuration: %s", name, strings.Join(want, " "))
		}
	}
}
