"""What a target's running system can be asked and told, one module for each target. Knows no pulumi."""
