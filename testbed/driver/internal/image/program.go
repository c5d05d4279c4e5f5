package image

import (
	"fmt"
	"os"
	"path/filepath"
)

// Program makes the image local/NAME:1 of one static program, and answers
// where the cache keeps its archive.
func (b Builder) Program(name, program string) (string, error) {
	body, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", name, err)
	}
	place := "bin/" + filepath.Base(program)
	kept := filepath.Join(b.Cache, "images", name+"-"+digest([]byte(version + place + digest(body)))[:16]+".tar")
	release, err := b.lock()
	if err != nil {
		return "", err
	}
	defer release()
	if exists(kept) {
		return kept, nil
	}
	b.Say("image %s: build", name)
	t := NewTree()
	t.File(place, 0o755, body)
	return kept, t.Write(kept, "local/"+name+":1", Config{Env: []string{searchPath}, Entrypoint: []string{"/" + place}})
}
