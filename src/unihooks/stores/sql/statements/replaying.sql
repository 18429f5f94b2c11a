-- name: delivery_source
SELECT d.rendering, r.definition, e.body
FROM unihooks.deliveries AS d
JOIN unihooks.events AS e ON e.tenant = d.tenant AND e.id = d.event_id
LEFT JOIN unihooks.renderings AS r ON r.id = d.rendering
WHERE d.tenant = :tenant AND d.id = :id
