package control

import "testing"

func TestReportInWords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name            string
		report          ChangeReport
		verdict, counts string
	}{
		{"nothing happened", ChangeReport{Final: true}, "nothing was lost", "0 connections handed over, 0 cut, 0 dropped"},
		{"a good reload", ChangeReport{Final: true, HandedOver: 64, Helped: 3, Finished: 2, Workers: 4}, "nothing was lost", "64 connections handed over, 3 helped, 2 finished, 0 cut, 0 dropped"},
		{"what comes later", ChangeReport{Final: true, HandedOver: 1, Rescued: 2, Migrated: 3}, "nothing was lost", "1 connection handed over, 2 rescued, 3 migrated, 0 cut, 0 dropped"},
		{"cut", ChangeReport{Final: true, Cut: 1}, "connections were lost", "0 connections handed over, 1 cut, 0 dropped"},
		{"dropped", ChangeReport{Final: true, Dropped: 1}, "connections were lost", "0 connections handed over, 0 cut, 1 dropped"},
		{"left behind", ChangeReport{Final: true, LeftBehind: 1}, "connections were lost", "0 connections handed over, 0 cut, 0 dropped, 1 left behind in a queue"},
		{"a foreign program", ChangeReport{Final: true, Workers: 2, Unknown: 2}, "no loss is known", "0 connections handed over, 0 cut, 0 dropped, unknown of 2 workers"},
		{"a foreign program, and a loss", ChangeReport{Final: true, Unknown: 1, Cut: 3}, "connections were lost", "0 connections handed over, 3 cut, 0 dropped, unknown of 1 worker"},
		{"not over", ChangeReport{Draining: 1}, "nothing is lost so far", "0 connections handed over, 0 cut, 0 dropped, 1 worker still drains"},
		{"a slot is not closed", ChangeReport{Workers: 1}, "nothing is lost so far", "0 connections handed over, 0 cut, 0 dropped, not final"},
		{"not over, and unknown", ChangeReport{Draining: 2, Unknown: 1}, "nothing is lost so far", "0 connections handed over, 0 cut, 0 dropped, unknown of 1 worker, 2 workers still drain"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := tc.report.Verdict(); got != tc.verdict {
				t.Errorf("got %q, want %q", got, tc.verdict)
			}
			if got := tc.report.Counts(); got != tc.counts {
				t.Errorf("got %q, want %q", got, tc.counts)
			}
			checkOneLine(t, tc.report.Counts())
		})
	}
}
