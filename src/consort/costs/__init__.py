"""What a network costs: multiply-adds, parameters, milliseconds."""
