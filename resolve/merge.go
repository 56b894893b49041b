package resolve

import (
	"cmp"
	"slices"
	"strings"
)

// union returns the arrays as one set: every element once, sorted. ok is false unless all
// values are arrays.
func union(values []value) (set value, ok bool) {
	n := 0
	for i := range values {
		if values[i].kind != array {
			return set, false
		}
		n += len(values[i].items)
	}
	set = value{kind: array, items: make([]value, 0, n)}
	for i := range values {
		set.items = append(set.items, values[i].items...)
	}
	slices.SortFunc(set.items, func(a, b value) int {
		if c := compare(&a, &b); c != 0 {
			return c
		}
		return compareSpelling(&a, &b) // the shortest first, which is the one that stays
	})
	set.items = slices.CompactFunc(set.items, func(a, b value) bool { return compare(&a, &b) == 0 })
	return set, true
}

// greatest returns the index of the greatest number, of equal ones the last. ok is false unless
// all values are numbers.
func greatest(values []value) (index int, ok bool) {
	for i := range values {
		if values[i].kind != number {
			return 0, false
		}
		if values[i].number.compare(values[index].number) >= 0 {
			index = i
		}
	}
	return index, true
}

// overlayAll lays the objects over each other, the last on top. ok is false unless all values
// are objects.
func overlayAll(values []value) (merged value, ok bool) {
	for i := range values {
		if values[i].kind != object {
			return merged, false
		}
	}
	return overlay(values), true
}

// A layer is a field of one of several objects that are laid over each other.
type layer struct {
	*field
	height int
}

// overlay returns the fields of all objects, the last on top. It takes them all at once: one after
// the other, a large object would be copied for each small one.
func overlay(objects []value) value {
	n := 0
	for i := range objects {
		n += len(objects[i].fields)
	}
	layers := make([]layer, 0, n)
	for height := range objects {
		for i := range objects[height].fields {
			layers = append(layers, layer{&objects[height].fields[i], height})
		}
	}
	slices.SortFunc(layers, func(a, b layer) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.height, b.height))
	})
	merged := value{kind: object, fields: make([]field, 0, len(layers))}
	for from, to := 0, 0; from < len(layers); from = to {
		for to = from + 1; to < len(layers) && layers[to].name == layers[from].name; to++ {
		}
		merged.fields = append(merged.fields, field{layers[from].name, visible(layers[from:to])})
	}
	return merged
}

// visible returns what is seen of one field: the topmost value, and if that is an object, merged
// with those right below it that are objects as well.
func visible(layers []layer) value {
	top := len(layers) - 1
	from := top + 1
	for from > 0 && layers[from-1].value.kind == object {
		from--
	}
	if from >= top {
		return layers[top].value
	}
	objects := make([]value, 0, len(layers)-from)
	for _, l := range layers[from:] {
		objects = append(objects, l.value)
	}
	return overlay(objects)
}
