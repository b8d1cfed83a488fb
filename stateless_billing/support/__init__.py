"""What moderators ask: customers, their timelines, uncredited payments and orders about them."""
