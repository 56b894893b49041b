package node

import (
	"net/http"
	"strings"
	"testing"
)

// TestLargeNValDoesNotStopRepair: nodes tell each other all n_vals in use before they compare their
// copies. One that the message cannot carry would end every comparison in the cluster.
func TestLargeNValDoesNotStopRepair(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		for _, n := range []string{"100000", "2147483647", "65"} {
			if a := nodes[0].setProps(http.StatusBadRequest, "wide", `{"n_val":`+n+`}`); !strings.Contains(a.body, `"n_val":"more_than_64"`) {
				t.Errorf("n_val %s: %v", n, a)
			}
		}
		nodes[0].setProps(http.StatusNoContent, "wide", `{"n_val":64}`)
		p.await("every node to have compared its copies with the others'", func() bool {
			for _, m := range nodes {
				verified := m.Repair().Verified
				for _, v := range verified {
					if v.Never > 0 {
						return false
					}
				}
				if len(verified) != 2 {
					return false
				}
			}
			return true
		})
	})
}
