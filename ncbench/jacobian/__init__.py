"""The force Jacobian J = ∂f/∂r, by products or differences, and its antisymmetric share λ."""
