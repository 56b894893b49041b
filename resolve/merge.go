package resolve

import "slices"

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
		if compareNumbers(values[i].text, values[index].text) >= 0 {
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
	merged = values[0]
	for _, v := range values[1:] {
		merged = overlay(merged, v)
	}
	return merged, true
}

// overlay returns the fields of both objects, recursively; of two values of one field the
// upper's, unless both are objects. It is the upper value if either is no object.
func overlay(lower, upper value) value {
	if lower.kind != object || upper.kind != object {
		return upper
	}
	a, b := lower.fields, upper.fields
	merged := make([]field, 0, max(len(a), len(b)))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].name < b[0].name:
			merged, a = append(merged, a[0]), a[1:]
		case a[0].name > b[0].name:
			merged, b = append(merged, b[0]), b[1:]
		default:
			merged = append(merged, field{a[0].name, overlay(a[0].value, b[0].value)})
			a, b = a[1:], b[1:]
		}
	}
	return value{kind: object, fields: append(append(merged, a...), b...)}
}
