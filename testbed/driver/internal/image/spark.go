package image

import (
	"archive/tar"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// sparkLock names the packages of local/spark:1 with their checksums. PySpark
// is published as source only; its jars are part of it.
//
//go:embed spark.txt
var sparkLock string

// sparkDropped are jars that a local SparkContext never loads and that are a
// third of the whole.
var sparkDropped = []string{"rocksdbjni-", "hive-", "kubernetes-", "scala-compiler-", "spark-connect_", "spark-kubernetes_", "spark-yarn_", "derby-", "icu4j-"}

// spark is Debian's Python and Java runtime, and PySpark from Python's
// registry.
func (b Builder) spark(t *Tree, debs *debian) error {
	packages, err := b.wheels("spark", sparkLock)
	if err != nil {
		return err
	}
	if err := python(t, debs); err != nil {
		return err
	}
	for _, wheel := range packages {
		if err := unpackWheel(t, wheel); err != nil {
			return fmt.Errorf("%s: %w", wheel, err)
		}
	}
	sources, err := filepath.Glob(filepath.Join(filepath.Dir(packages[0]), "*.tar.gz"))
	if err != nil {
		return err
	}
	if len(sources) != 1 {
		return fmt.Errorf("%d source packages beside %s instead of one: delete the folder and try again", len(sources), packages[0])
	}
	if err := unpackPySpark(t, sources[0]); err != nil {
		return fmt.Errorf("%s: %w", sources[0], err)
	}
	// What Debian's update-alternatives would do when the package is installed.
	java, err := javaHome(t)
	if err != nil {
		return err
	}
	t.Link("usr/bin/java", "/"+java+"/bin/java")
	return nil
}

// unpackPySpark puts PySpark where its setup.py would: the package, and below
// it the jars and programs that the archive keeps apart.
func unpackPySpark(t *Tree, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	tr := tar.NewReader(z)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		to, ok := pySparkPlace(h.Name)
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		body, err := io.ReadAll(tr)
		if err != nil {
			return err
		}
		t.File(distPackages+to, h.Mode&0o777, body)
	}
}

// pySparkPlace says where a file of the archive goes, and whether it goes in.
func pySparkPlace(name string) (string, bool) {
	_, name, _ = strings.Cut(path.Clean(name), "/")
	switch {
	case strings.HasPrefix(name, "pyspark/tests/"), strings.Contains(name, "/tests/"):
		return "", false
	case strings.HasPrefix(name, "pyspark/"):
		return name, true
	case strings.HasPrefix(name, "deps/bin/"):
		return "pyspark/" + strings.TrimPrefix(name, "deps/"), true
	case strings.HasPrefix(name, "deps/jars/"):
		jar := path.Base(name)
		for _, dropped := range sparkDropped {
			if strings.HasPrefix(jar, dropped) {
				return "", false
			}
		}
		return "pyspark/jars/" + jar, true
	}
	return "", false
}

// javaHome finds the runtime: its folder has Debian's name of the processor.
func javaHome(t *Tree) (string, error) {
	for name := range t.entries {
		if home, ok := strings.CutSuffix(name, "/bin/java"); ok && strings.HasPrefix(home, "usr/lib/jvm/") {
			return home, nil
		}
	}
	return "", errors.New("the packages hold no bin/java")
}
