package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"
)

const golden = "testdata/run.json"

// TestSchema decodes a run as it was written when its fields were defined, and encodes it again:
// who reads these files must find the same. A field that was renamed, removed or given another
// type fails it. The file is only ever added to; another layout is another [Schema] and file.
func TestSchema(t *testing.T) {
	file, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(file))
	decoder.DisallowUnknownFields()
	var run Run
	if err := decoder.Decode(&run); err != nil {
		t.Fatalf("%s cannot be decoded any more: %v", golden, err)
	}
	if run.Schema != Schema {
		t.Errorf("%s has the schema %q, the package %q: a new schema needs a file of its own", golden, run.Schema, Schema)
	}
	again, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range missing("", parse(t, file), parse(t, again)) {
		t.Error(p)
	}
}

// TestSchemaIsWhole fails if a field stands nowhere in the golden file: there it is only protected
// once it is added.
func TestSchemaIsWhole(t *testing.T) {
	file, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var run Run
	if err := json.Unmarshal(file, &run); err != nil {
		t.Fatal(err)
	}
	all, filled := map[string]bool{}, map[string]bool{}
	fields(reflect.TypeFor[Run](), all)
	values(reflect.ValueOf(run), filled)
	for name := range all {
		if !filled[name] {
			t.Errorf("the field %s has no value in %s: add one by hand", name, golden)
		}
	}
	if len(all) < 80 {
		t.Errorf("only %d fields were looked at", len(all))
	}
}

func parse(t *testing.T, file []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(file, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// missing returns what of want is not in got, or is there with another value. What is only in got
// is an addition.
func missing(path string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return []string{path + " is no object any more"}
		}
		var problems []string
		for name, v := range want {
			other, there := got[name]
			if !there {
				problems = append(problems, path+"."+name+" is gone")
				continue
			}
			problems = append(problems, missing(path+"."+name, v, other)...)
		}
		slices.Sort(problems)
		return problems
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return []string{path + " is no array of the same length any more"}
		}
		var problems []string
		for i := range want {
			problems = append(problems, missing(fmt.Sprintf("%s[%d]", path, i), want[i], got[i])...)
		}
		return problems
	}
	if !reflect.DeepEqual(want, got) {
		return []string{fmt.Sprintf("%s was %v, is %v", path, want, got)}
	}
	return nil
}

// ours reports whether a type is a structure of this package, below slices and pointers.
func ours(t reflect.Type) (reflect.Type, bool) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]()
}

// fields gathers all fields of a type and of those inside of it.
func fields(t reflect.Type, found map[string]bool) {
	for f := range t.Fields() {
		found[t.Name()+"."+f.Name] = true
		if inner, ok := ours(f.Type); ok {
			fields(inner, found)
		}
	}
}

// values gathers the fields that have a value.
func values(v reflect.Value, found map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			values(v.Elem(), found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			values(v.Index(i), found)
		}
	case reflect.Struct:
		if _, ok := ours(v.Type()); !ok {
			return
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); !v.Field(i).IsZero() {
				found[v.Type().Name()+"."+f.Name] = true
			}
			values(v.Field(i), found)
		}
	}
}
