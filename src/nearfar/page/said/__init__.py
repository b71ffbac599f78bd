"""What people say of clips and alarms, and what follows: kept, learnt, undone, told who did it."""
