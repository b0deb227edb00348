"""What people see: tables, pages, pictures and files for deposition, made from the records."""
