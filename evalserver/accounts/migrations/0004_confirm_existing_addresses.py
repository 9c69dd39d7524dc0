from django.db import migrations


def confirm_existing_addresses(apps, schema_editor):
    """Accounts older than e-mail confirmation count as confirmed, or nobody could log in after the upgrade."""
    User = apps.get_model("accounts", "User")
    EmailAddress = apps.get_model("account", "EmailAddress")
    for user in User.objects.exclude(emailaddress__isnull=False):
        EmailAddress.objects.create(user=user, email=user.email.lower(), verified=True, primary=True)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_add_profile_and_invitations"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]
    operations = [migrations.RunPython(confirm_existing_addresses, migrations.RunPython.noop)]
