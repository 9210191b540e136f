"""The lab: tests marked ``kernel`` run inside User-Mode Linux, with a real IPVS, and are counted one by one on the host."""
