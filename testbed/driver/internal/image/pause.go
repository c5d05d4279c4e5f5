package image

import (
	"fmt"
	"os"
)

const searchPath = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Pause makes the image that holds a pod's namespaces open. containerd is
// configured to use this name, since there is no registry to ask.
func Pause(binary, file string) error {
	body, err := os.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("the program pause: %w: run testbed/build.sh", err)
	}
	t := &Tree{entries: map[string]entry{}}
	t.File("pause", 0o755, body)
	return t.Write(file, "local/pause:1", Config{Env: []string{searchPath}, Entrypoint: []string{"/pause"}})
}
