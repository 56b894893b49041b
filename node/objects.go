package node

import (
	"errors"
	"fmt"
	"io/fs"

	"cartwheel/ring"
	"cartwheel/storage"
)

// openStore opens the store, finds out whether it has all that this node has acknowledged, and
// doubts all partitions if it may not. A store of another node is refused. So is an empty one in the
// place of one that had objects if no other member has copies: nobody could bring them back, and
// a disk that is not mounted looks the same.
func (n *Node) openStore(cfg storage.Config) error {
	before, err := loadLife(n.dir)
	if err != nil {
		return err
	}
	cfg.Owner, cfg.MustExist = n.dir.Node(), before != nil
	n.store, err = storage.Open(cfg)
	emptied := errors.Is(err, storage.ErrEmptied)
	if emptied {
		if !n.cfg.AcceptEmptyStore && !n.hasPeers() {
			return fmt.Errorf("%w; mount or restore them, or start with --accept-empty-store if they are lost: no other member has copies", err)
		}
		cfg.MustExist = false
		n.store, err = storage.Open(cfg)
	}
	if err != nil {
		return err
	}
	clean, err := n.loadTrees()
	if err != nil {
		return err
	}
	why := before.doubt(n.store.FormerRun(), clean)
	if emptied {
		why = "the objects are gone"
	}
	if why != "" {
		n.log.Warn("reads of all partitions are refused until they have been compared with the other members", "why", why)
		if err := n.repair.doubts.all(); err != nil {
			return err
		}
		n.repair.keeper.MarkAllUnsure()
	}
	// Last of all: the store knows this run since it was opened, and a start that ended in between
	// must not make the next one trust what it had not judged.
	return life{cfg.Run, cfg.Durability.String()}.save(n.dir)
}

// ringFile is where package gossip keeps the ring document.
const ringFile = "ring.json"

// hasPeers reports whether, in the ring that this node last knew, other members have copies of
// what it has.
func (n *Node) hasPeers() bool {
	data, err := n.dir.Load(ringFile)
	if err != nil {
		return false
	}
	doc, err := ring.DecodeDocument(data)
	return err == nil && len(doc.Members) > 1 && doc.N > 1
}

// loadTrees takes in the trees of the last orderly stop. clean says that there are some, and that
// nobody has used the store since.
func (n *Node) loadTrees() (clean bool, err error) {
	data, err := n.dir.Load(treesFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the trees: %w", err)
	}
	return n.repair.keeper.Load(data, n.store.FormerRun()), nil
}

// closeStore closes the store and, if that went well, keeps the trees for the next start. A store
// that was fenced, be it by what was left to commit, may have lost its last commit.
func (n *Node) closeStore() error {
	if err := n.store.Close(); err != nil || n.store.Fenced() != nil || n.repair.keeper == nil {
		return err
	}
	if err := n.dir.Save(treesFile, n.repair.keeper.Save()); err != nil {
		return fmt.Errorf("keep the trees: %w", err)
	}
	return nil
}
