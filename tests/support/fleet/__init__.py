"""A cluster of more nodes than one machine has: its servers, its nodes, and Ray's arithmetic about them."""
