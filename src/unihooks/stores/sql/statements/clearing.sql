-- Everything goes but the store itself, as between two tests.

-- name: clear_tenants
DELETE FROM unihooks.tenants

-- name: clear_webhooks
DELETE FROM unihooks.webhooks

-- name: clear_renderings
DELETE FROM unihooks.renderings

-- name: clear_secrets
DELETE FROM unihooks.secrets

-- name: clear_endpoints
DELETE FROM unihooks.endpoints

-- name: clear_former_endpoints
DELETE FROM unihooks.former_endpoints

-- name: clear_subscriptions
DELETE FROM unihooks.subscriptions

-- name: clear_lanes
DELETE FROM unihooks.lanes

-- name: clear_events
DELETE FROM unihooks.events

-- name: clear_deliveries
DELETE FROM unihooks.deliveries

-- name: clear_attempts
DELETE FROM unihooks.attempts

-- name: clear_hours
DELETE FROM unihooks.hours

-- name: clear_answers
DELETE FROM unihooks.answers

-- name: clear_workers
DELETE FROM unihooks.workers
