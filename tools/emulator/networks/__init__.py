"""Local servers of reward networks, each written from its network's facts and checking with libraries of its own."""
