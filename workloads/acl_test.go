package workloads

import "testing"

func TestPermissionStories(t *testing.T) {
	const mine = "a0"
	did := func(s *script, session int64, kind Type, f string, invoked, completed any, zxid int64) {
		from := len(s.history)
		s.did(int(session)*100+from, kind, f, invoked, completed)
		for i := from; i < len(s.history); i++ {
			s.history[i].Session, s.history[i].Key = session, mine
		}
		s.history[from+1].Zxid = zxid
	}
	login := func(s *script, session int64, kind Type) { did(s, session, kind, "login", "u0", "u0", 0) }
	guard := func(s *script, session int64, kind Type, user string, zxid int64) {
		did(s, session, kind, "guard", user, user, zxid)
	}
	runStories(t, CheckPermissions, []storyTest{
		{"fine", "", func(s *script) {
			did(s, 2, OK, "write", nil, nil, 10)
			guard(s, 1, OK, "u0", 11)
			did(s, 2, OK, "write", nil, aclRefused, 12)
			login(s, 2, OK)
			did(s, 2, OK, "write", nil, nil, 13)
			guard(s, 2, OK, "", 14)
			did(s, 3, OK, "read", nil, nil, 14)
		}},
		{"a member that lags behind allows", "", func(s *script) {
			guard(s, 1, OK, "u0", 11)
			did(s, 2, OK, "read", nil, nil, 10)
		}},
		{"anybody reads", "read 4 of a0, which belonged to u0, was allowed, although its session had never presented that user", func(s *script) {
			guard(s, 1, OK, "u0", 11)
			did(s, 2, OK, "read", nil, aclRefused, 12)
			did(s, 2, OK, "read", nil, nil, 12)
		}},
		{"anybody writes", "write 2 of a0, which belonged to u0, was allowed", func(s *script) {
			guard(s, 1, OK, "u0", 11)
			did(s, 2, OK, "write", nil, nil, 12)
		}},
		{"a change of owner by a stranger", "guard 2 of a0, which belonged to u0, was allowed", func(s *script) {
			guard(s, 1, OK, "u0", 11)
			guard(s, 2, OK, "", 12)
		}},
		{"the owner is refused", "write 4 of a0, which belonged to u0, was refused, although its session might", func(s *script) {
			guard(s, 1, OK, "u0", 11)
			login(s, 2, OK)
			did(s, 2, OK, "write", nil, aclRefused, 12)
		}},
		{"refused what is everybody's", "read 0 of a0, which belonged to everybody, was refused", func(s *script) {
			did(s, 2, OK, "read", nil, aclRefused, 10)
		}},
		{"perhaps presented", "", func(s *script) {
			guard(s, 1, OK, "u0", 11)
			login(s, 2, Info)
			did(s, 2, OK, "write", nil, aclRefused, 12)
			did(s, 2, OK, "write", nil, nil, 13)
		}},
		{"perhaps another owner", "", func(s *script) {
			guard(s, 1, Info, "u0", 0)
			did(s, 2, OK, "write", nil, aclRefused, 12)
			did(s, 2, OK, "write", nil, nil, 13)
		}},
	})
}
