"""The two engines that can run the program, behind one face: the embedded one, and the Pulumi CLI."""
