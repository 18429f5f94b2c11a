"""Buy something."""

from django.db import transaction
from django.http import JsonResponse

from shop.hooks import dispatcher
from shop.models import Order
from unihooks.integrations.django import emit


def buy(request, number):
    """Store the order and emit the event, both or neither."""
    with transaction.atomic():
        order = Order.objects.create(number=number)
        event = emit(dispatcher(), "shop", "order.paid", {"number": order.number})
        if "fail" in request.GET:
            raise ValueError("the payment was refused")
    return JsonResponse({"event": event.id})
