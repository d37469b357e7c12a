package main

import (
	"strings"
	"testing"

	"zoolab/workloads"
)

func TestParseGauge(t *testing.T) {
	whole := "zk_version\t3.9\nzk_znode_count\t1200\nzk_approximate_data_size\t34567\nzk_open_file_descriptor_count\t41\n"
	var gauge workloads.Gauge
	if err := parseGauge(whole, &gauge); err != nil || gauge != (workloads.Gauge{Znodes: 1200, DataBytes: 34567, Descriptors: 41}) {
		t.Errorf("%+v, %v", gauge, err)
	}
	for answer, want := range map[string]string{
		strings.Replace(whole, "zk_znode_count", "zk_other", 1):    "mntr does not tell zk_znode_count",
		strings.Replace(whole, "1200", "many", 1):                  `mntr says "zk_znode_count\tmany"`,
		"mntr is not executed because it is not in the whitelist.": "mntr does not tell",
	} {
		if err := parseGauge(answer, &gauge); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
	}
}
