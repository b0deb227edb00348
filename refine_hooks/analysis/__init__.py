"""More from the same halves: criteria, directions, local resolution, B factors, and how half maps were treated before."""
