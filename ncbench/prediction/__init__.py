"""Heating by non-conservative forces, predicted from the force Jacobian or from the work along a conservative trajectory."""
