package image

import "testing"

func TestPySparkGoesWhereItsSetupWouldPutIt(t *testing.T) {
	for name, wanted := range map[string]string{
		"pyspark-4.3.0/pyspark/sql/session.py":           "pyspark/sql/session.py",
		"pyspark-4.3.0/deps/jars/spark-core_2.13.jar":    "pyspark/jars/spark-core_2.13.jar",
		"pyspark-4.3.0/deps/bin/spark-submit":            "pyspark/bin/spark-submit",
		"pyspark-4.3.0/deps/jars/rocksdbjni-9.8.4.jar":   "",
		"pyspark-4.3.0/deps/examples/pi.py":              "",
		"pyspark-4.3.0/pyspark/sql/tests/test_column.py": "",
		"pyspark-4.3.0/setup.py":                         "",
		"pyspark-4.3.0/../../etc/passwd":                 "",
	} {
		place, ok := pySparkPlace(name)
		if place != wanted || ok != (wanted != "") {
			t.Errorf("%s goes to %q, %v", name, place, ok)
		}
	}
}
