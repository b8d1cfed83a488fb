"""An outsider's kit: the system driven through public interfaces only, with a Stripe written from its documentation."""
