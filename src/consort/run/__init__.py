"""One execution of a study: its plan, what is there, what is lacking."""
