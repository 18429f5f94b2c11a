-- name: store_table
SELECT 1 FROM main.sqlite_master WHERE name = 'unihooks_store'
