package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// refusedWithin bounds the start of a node that refuses.
const refusedWithin = 20 * time.Second

// refuses runs a command that must end with the code and a plain sentence that has the words.
func refuses(t *testing.T, c Command, code int, words ...string) {
	t.Helper()
	p, got := lab.Run(t, refusedWithin, c)
	sentence := p.Sentence(t)
	if got != code {
		t.Errorf("%v: exit code %d, want %d: %s", c.Args, got, code, sentence)
	}
	for _, w := range words {
		if !strings.Contains(sentence, w) {
			t.Errorf("%v: the sentence has no %q: %s", c.Args, w, sentence)
		}
	}
}

// refusesToStart runs a node that must fail at its start.
func refusesToStart(t *testing.T, n *Node, words ...string) {
	t.Helper()
	refuses(t, Command{Args: n.args}, 1, words...)
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, network, port string }{
		{"http", "tcp", "http"}, {"peer", "tcp", "peer"}, {"peer packets", "udp", "peer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := lab.Node(t, "n1", filepath.Join(t.TempDir(), "n1"))
			addr := map[string]string{"http": n.HTTP, "peer": n.Peer}[c.port]
			if c.network == "tcp" {
				l, err := net.Listen("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
			} else {
				l, err := net.ListenPacket("udp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
			}
			refusesToStart(t, n, addr, "address already in use")
		})
	}
}

func TestDataDirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "n1")
	first := lab.Node(t, "n1", dir)
	first.Start(t)
	first.AwaitReady(t)
	refusesToStart(t, lab.Node(t, "n2", dir), dir, "in use")
	if err := first.Ready(); err != nil {
		t.Errorf("the node that has the directory: %v", err)
	}
	// Once the first has gone, however it went, the directory is free.
	first.Kill()
	first.Start(t)
	first.AwaitReady(t)
}

// used returns a data directory that a node has used.
func used(t *testing.T) (*Node, string) {
	t.Helper()
	n := lab.Node(t, "n1", filepath.Join(t.TempDir(), "n1"))
	n.Start(t)
	n.AwaitReady(t)
	if code := n.Stop(t, syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, n.Stderr.String())
	}
	return n, n.Dir
}

func TestDataDirectoryUnusable(t *testing.T) {
	t.Parallel()
	n, dir := used(t)
	identity := filepath.Join(dir, "cartwheel.json")
	good, err := os.ReadFile(identity)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, identity, words string }{
		{"newer format", strings.Replace(string(good), `"format":1`, `"format":2`, 1), "newer"},
		{"much newer format", `{"format":2000000000,"layout":{"of":"the future"}}`, "newer"},
		{"damaged identity", "{", "damaged"},
		{"empty identity", "", "damaged"},
		{"no uuid", `{"format":1,"node":"me"}`, "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.identity == string(good) {
				t.Fatal("the identity is as it was: the test proves nothing")
			}
			write(t, identity, c.identity)
			refusesToStart(t, n, dir, c.words)
			if after, err := os.ReadFile(identity); err != nil || string(after) != c.identity {
				t.Errorf("the refused directory was changed: %q, %v", after, err)
			}
		})
	}
	t.Run("no identity", func(t *testing.T) {
		if err := os.Remove(identity); err != nil {
			t.Fatal(err)
		}
		refusesToStart(t, n, dir, "no cartwheel.json")
	})
	write(t, identity, string(good))
	t.Run("damaged ring", func(t *testing.T) {
		path := filepath.Join(dir, "ring.json")
		ring, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, "junk")
		refusesToStart(t, n, "ring document")
		write(t, path, string(ring))
	})
	n.Start(t)
	n.AwaitReady(t) // put back, it works
}

func TestDataDirectoryNotWritable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for _, c := range []struct{ name, dir, words string }{
		{"a file", file, "not a directory"},
		{"below a file", filepath.Join(file, "n1"), "not a directory"},
	} {
		t.Run(c.name, func(t *testing.T) { refusesToStart(t, lab.Node(t, "n1", c.dir), c.dir, c.words) })
	}
	t.Run("read only", func(t *testing.T) {
		dir := readOnly(t)
		refusesToStart(t, lab.Node(t, "n1", dir), dir, "not writable")
		refusesToStart(t, lab.Node(t, "n1", filepath.Join(dir, "n1")), dir, "cannot be created")
	})
}

// readOnly returns a directory in which this user cannot make files. Root can in every
// directory whose file system allows it.
func readOnly(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "readonly")
	if err := os.Mkdir(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		return dir
	}
	if runtime.GOOS != "linux" {
		t.Skip("as root, a read-only file system is needed, and this test can mount one on Linux only")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "ro,size=64k", "cartwheel-e2e", dir).CombinedOutput(); err != nil {
		t.Skipf("as root, a read-only file system is needed, and none can be mounted: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOtherCluster starts members of one cluster at the addresses of another. The clusters
// must not mix, and the operator is told.
func TestOtherCluster(t *testing.T) {
	t.Parallel()
	ours := lab.Cluster(t, 2)
	theirs := lab.Cluster(t, 1)
	before := ours[0].View(t)
	foreign := theirs[0].View(t).Cluster
	if before.Cluster == foreign {
		t.Fatal("one cluster, not two")
	}

	t.Run("new node", func(t *testing.T) {
		n := lab.Node(t, "n9", filepath.Join(t.TempDir(), "n9"), "--join", ours[0].Peer)
		refusesToStart(t, n, "ring already", "cannot add members")
	})

	// The member that comes back is told to join the other cluster; then the directory of the
	// other cluster's member takes the place of one of ours.
	stranger := theirs[0]
	if code := stranger.Stop(t, syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	t.Run("join of another cluster", func(t *testing.T) {
		staysApart(t, stranger, []string{"--join", ours[0].Peer}, foreign)
	})
	if code := ours[1].Stop(t, syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	t.Run("directory of another cluster", func(t *testing.T) {
		n := lab.Node(t, "n2", filepath.Join(t.TempDir(), "n2"))
		n.args, n.HTTP, n.Peer = ours[1].args, ours[1].HTTP, ours[1].Peer
		if err := os.CopyFS(n.Dir, os.DirFS(stranger.Dir)); err != nil {
			t.Fatal(err)
		}
		staysApart(t, n, []string{"--data", n.Dir}, foreign)
	})

	ours[1].Start(t)
	ours[1].AwaitReady(t)
	ours[0].AwaitAlive(t, 2)
	if after := ours[0].View(t); after.Cluster != before.Cluster || len(after.Members) != 2 {
		t.Errorf("the cluster is %+v, was %+v", after, before)
	}
}

// staysApart starts a node whose directory is of the foreign cluster while its seeds are of
// another. It must end with a sentence.
func staysApart(t *testing.T, n *Node, flags []string, foreign string) {
	t.Helper()
	n.Start(t, flags...)
	Until(t, 10*time.Second, "the node ends, as its directory is of another cluster than the addresses to join", func() error {
		if !n.Running() {
			return nil
		}
		if n.Ready() == nil {
			if v := n.View(t); v.Cluster != foreign || len(v.Members) != 1 {
				t.Fatalf("the clusters were mixed: %+v", v)
			}
		}
		return errStillRunning
	})
	if code := n.Wait(t, refusedWithin); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if s := n.Sentence(t); !strings.Contains(s, "cluster") {
		t.Errorf("the sentence does not speak of clusters: %s", s)
	}
}

// TestClonedDataDirectory starts a copy of a running node's directory.
func TestClonedDataDirectory(t *testing.T) {
	t.Parallel()
	n, dir := used(t)
	clone := filepath.Join(t.TempDir(), "clone")
	if err := os.CopyFS(clone, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	n.Start(t)
	n.AwaitReady(t)
	refusesToStart(t, lab.Node(t, "n1", clone, "--join", n.Peer), "uuid", n.Peer)
	refusesToStart(t, lab.Node(t, "n1", clone), "uuid", n.Peer) // the ring document leads there
	if err := n.Ready(); err != nil {
		t.Errorf("the original: %v", err)
	}
	Until(t, readyWithin, "the original speaks of the copy", func() error { return n.Stderr.Has("another process has the uuid") })
}
