"""名册: members in and out of spreadsheets."""
