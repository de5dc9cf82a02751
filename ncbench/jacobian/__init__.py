"""The force Jacobian J = ∂f/∂r, by Jacobian products or finite differences, and its antisymmetric share λ."""
