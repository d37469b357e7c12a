package main

import (
	"errors"
	"testing"

	"zoolab/workloads"
	"zoolab/zk"
)

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		err  error
		want error // nil: of unknown outcome
	}{
		{&zk.OpError{Op: "setData", Err: zk.ErrNoNode}, workloads.ErrNoNode},
		{&zk.OpError{Op: "create", Err: zk.ErrNodeExists}, workloads.ErrNodeExists},
		{&zk.OpError{Op: "setData", Err: zk.ErrBadVersion}, workloads.ErrBadVersion},
		{&zk.OpError{Op: "setData", Err: zk.ErrSessionExpired}, workloads.ErrNotDone},
		{&zk.OpError{Op: "setData", Err: zk.ErrConnectionLoss, MayHaveHappened: true}, nil},
		{errors.New("from elsewhere"), nil},
	} {
		got := classify(test.err)
		if workloads.Definite(got) != (test.want != nil) || test.want != nil && !errors.Is(got, test.want) {
			t.Errorf("%v is classified as %v", test.err, got)
		}
		if !errors.Is(got, test.err) {
			t.Errorf("%v lost its cause", got)
		}
	}
	if classify(nil) != nil {
		t.Error("no error became one")
	}
}
