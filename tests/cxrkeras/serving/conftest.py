"""Its being here lets the tests below import `served_runs`."""
