-- name: lease_of_tenant
UPDATE unihooks.deliveries SET due_at = :until, token = :token WHERE tenant = :tenant AND id = ANY(:ids)
