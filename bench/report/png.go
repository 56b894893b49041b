package report

import (
	"fmt"
	"os"
	"path/filepath"

	"cartwheel/bench/result"
)

// PNG writes every chart of the page as a picture into dir, which it makes if need be, and returns
// the paths in the order of the page. Pictures of the same names are replaced.
func PNG(dir string, run *result.Run) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory for pictures: %w", err)
	}
	var files []string
	for _, s := range sections(run) {
		for _, c := range s.charts {
			picture, err := c.picture()
			if err != nil {
				return files, err
			}
			file := filepath.Join(dir, c.id+".png")
			if err := os.WriteFile(file, picture, 0o644); err != nil {
				return files, fmt.Errorf("write picture: %w", err)
			}
			files = append(files, file)
		}
	}
	return files, nil
}
